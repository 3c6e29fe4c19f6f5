import type { ChainId } from "#core/base";
import type { DeviceType } from "#core/topology";
import { chainRulesPath, devicePath } from "./paths.ts";

/** Devices that are remembered: the more, the more is asked for in vain. */
const MOST = 4;

/**
 * On which devices traces were switched on or off lately, and where their rules stand. The next one is likely to be on one
 * of them: what it takes to switch it is asked for together with the request itself, instead of after it. Only paths are
 * remembered, nothing of what stood there.
 */
export class SwitchedLately {
  /** By device, the latest last. */
  private readonly devices = new Map<string, string>();

  /** The nodes to ask for ahead. */
  paths(): string[] {
    return [...this.devices].flat();
  }

  note(type: DeviceType, id: string, chain: ChainId): void {
    const device = devicePath(type, id);
    this.devices.delete(device);
    this.devices.set(device, chainRulesPath(chain));
    for (const oldest of this.devices.keys()) {
      if (this.devices.size <= MOST) break;
      this.devices.delete(oldest);
    }
  }
}
