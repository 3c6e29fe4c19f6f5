import { describeCondition } from "#core/topology";
import { conditionOfDto } from "#apps/web/model";
import { type ReactNode, useEffect, useMemo, useState } from "react";
import { deviceName } from "../api/devices.ts";
import type { DeviceType, Trace } from "../api/resources.ts";
import { Icon, type IconName } from "../ui/icons.tsx";

export const DEVICE_ICON: Readonly<Record<DeviceType, IconName>> = { BRIDGE: "bridge", ROUTER: "router", PORT: "port" };
export const DEVICE_WORD: Readonly<Record<DeviceType, string>> = { BRIDGE: "bridge", ROUTER: "router", PORT: "port" };

/** The device's name, the id until it is known. */
export function useDeviceName(type: DeviceType, id: string): string {
  const [name, setName] = useState(id);
  useEffect(() => {
    let gone = false;
    const read = async (): Promise<void> => {
      const found = await deviceName(type, id);
      if (!gone) setName(found);
    };
    void read();
    return () => {
      gone = true;
    };
  }, [type, id]);
  return name;
}

export function DeviceLabel({ type, id }: { readonly type: DeviceType; readonly id: string }): ReactNode {
  const name = useDeviceName(type, id);
  return (
    <span className="device" title={id}>
      <Icon name={DEVICE_ICON[type]} />
      <span className="sr">{DEVICE_WORD[type]} </span>
      <span className="cut">{name}</span>
    </span>
  );
}

/** The condition in pcap-filter's words. */
export function useExpression(trace: Trace): string {
  return useMemo(() => describeCondition(conditionOfDto(trace.condition)), [trace.condition]);
}

export const traceName = (trace: Trace): string => (trace.name === "" ? `trace ${trace.id.slice(0, 8)}` : trace.name);
