import { type ReactNode, useMemo, useState } from "react";
import { type Device, deviceName } from "../api/devices.ts";
import type { DeviceType } from "../api/resources.ts";
import { Combobox } from "../ui/combobox.tsx";
import { DEVICE_ICON, DEVICE_WORD } from "./trace-parts.tsx";

export interface ChosenDevice {
  readonly type: DeviceType;
  readonly id: string;
  readonly name: string;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const TYPES: readonly DeviceType[] = ["ROUTER", "BRIDGE", "PORT"];

interface PickerProps {
  /** Empty where the server lists none for this viewer: then an id does. */
  readonly devices: readonly Device[];
  readonly loading: boolean;
  /** Asked for, and not there. */
  readonly missing: boolean;
  readonly onChange: (device: ChosenDevice | null) => void;
}

/** A bridge, router or port by name, or by id for who may not list them. */
export function DevicePicker({ devices, loading, missing, onChange }: PickerProps): ReactNode {
  const [text, setText] = useState("");
  const [type, setType] = useState<DeviceType>("ROUTER");
  const choices = useMemo(
    () => devices.map((d) => ({ ...d, kind: DEVICE_WORD[d.type], icon: DEVICE_ICON[d.type] })),
    [devices],
  );
  const typed = text.trim();
  const known = devices.find((d) => d.id === typed.toLowerCase() || d.name === typed);
  const needsType = known === undefined && UUID.test(typed);
  const named = async (ofType: DeviceType, id: string): Promise<void> => {
    const name = await deviceName(ofType, id);
    if (name !== id) onChange({ type: ofType, id, name });
  };
  const choose = (value: string, ofType: DeviceType): void => {
    const trimmed = value.trim();
    const device = devices.find((d) => d.id === trimmed.toLowerCase() || d.name === trimmed);
    if (device !== undefined) return onChange(device);
    if (!UUID.test(trimmed)) return onChange(null);
    const id = trimmed.toLowerCase();
    onChange({ type: ofType, id, name: id });
    void named(ofType, id);
  };
  return (
    <>
      <label htmlFor="device">Device</label>
      <Combobox
        id="device"
        choices={choices}
        text={text}
        invalid={missing}
        describedBy="device-help"
        placeholder={
          loading ? "loading names…" : devices.length === 0 ? "id of a bridge, router or port" : "name or id"
        }
        onText={(value) => {
          setText(value);
          choose(value, type);
        }}
        onChoose={(choice) => {
          setText(choice.name);
          onChange(devices.find((d) => d.id === choice.id) ?? null);
        }}
      />
      {needsType && (
        <div className="radios" role="radiogroup" aria-label="The id is of a">
          <span aria-hidden="true">The id is of a</span>
          {TYPES.map((t) => (
            <label key={t} className="check">
              <input
                type="radio"
                name="device-type"
                checked={type === t}
                onChange={() => {
                  setType(t);
                  choose(text, t);
                }}
              />
              {DEVICE_WORD[t]}
            </label>
          ))}
        </div>
      )}
      <p id="device-help" className={missing ? "help tone-bad" : "help"}>
        {missing
          ? "Choose a device: type a part of its name, or its whole id."
          : "Packets are matched when they enter it: a port sees its own, a bridge or router those of all its ports."}
      </p>
    </>
  );
}
