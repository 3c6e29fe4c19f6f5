import assert from "node:assert/strict";
import type { DatapathPort, FlowEntry, PacketIn } from "#core/datapath";
import type { FlowAction } from "#core/flows";
import { type DatapathRig, RecordingListener, type RigFactory, type RigHost, type RigVm } from "./datapath-rig.ts";

/** One started host of a contract test: its listener, two VMs and the port numbers the switch gave them. */
export class SceneHost {
  readonly host: RigHost;
  readonly heard = new RecordingListener();
  readonly vms: RigVm[] = [];

  constructor(host: RigHost) {
    this.host = host;
  }

  vm(i: number): RigVm {
    return this.vms[i] as RigVm;
  }

  /** The number of a port by its name; fails the test when the switch never reported it. */
  port(name: string): number {
    const port = this.heard.ports.get(name);
    assert.ok(port, `port ${name} was reported`);
    return port.ofport;
  }

  p(i: number): number {
    return this.port(this.vm(i).name);
  }

  get tunnel(): number {
    const tunnel = [...this.heard.ports.values()].find((p: DatapathPort) => p.kind === "tunnel");
    assert.ok(tunnel, "the tunnel port was reported");
    return tunnel.ofport;
  }

  /** Calls the datapath and notes a callback inside the call. */
  install(entry: FlowEntry): void {
    this.guarded(() => this.host.datapath.install(entry));
  }

  remove(cookie: number): void {
    this.guarded(() => this.host.datapath.remove(cookie));
  }

  packetOut(frame: Uint8Array, actions: readonly FlowAction[], inPort = 0): void {
    this.guarded(() => this.host.datapath.packetOut(frame, actions, inPort));
  }

  private guarded(call: () => void): void {
    this.heard.inCall = true;
    call();
    this.heard.inCall = false;
  }
}

/** The stage of a contract test: hosts `a` and `b`, started, VMs a1, a2, b1, b2 attached and their ports known. */
export class Scene {
  readonly rig: DatapathRig;
  readonly a: SceneHost;
  readonly b: SceneHost;

  private constructor(rig: DatapathRig) {
    this.rig = rig;
    this.a = new SceneHost(rig.a);
    this.b = new SceneHost(rig.b);
  }

  static async play(factory: RigFactory, act: (scene: Scene) => Promise<void>): Promise<void> {
    const scene = new Scene(await factory());
    try {
      await scene.raise("a", scene.a);
      await scene.raise("b", scene.b);
      await act(scene);
      assert.equal(scene.a.heard.broken + scene.b.heard.broken, 0, "no callback inside a call of the datapath");
    } finally {
      await scene.rig.close();
    }
  }

  /** Installs and waits until it is in force. */
  async install(host: SceneHost, ...entries: FlowEntry[]): Promise<void> {
    for (const e of entries) host.install(e);
    await this.rig.quiet();
  }

  /** Sends, waits for the frame at `to`, and returns it. */
  async carry(from: RigVm, frame: Uint8Array, to: RigVm): Promise<Uint8Array> {
    const before = to.received.length;
    from.send(frame);
    return this.rig.eventually(`a frame at ${to.name}`, () => to.received[before] ?? null);
  }

  /** Sends and waits until the frame came up at `at`. */
  async comesUp(from: RigVm, frame: Uint8Array, at: SceneHost): Promise<PacketIn> {
    const before = at.heard.packets.length;
    from.send(frame);
    return this.rig.eventually("a packet-in", () => at.heard.packets[before] ?? null);
  }

  private async raise(name: string, host: SceneHost): Promise<void> {
    host.vms.push(await host.host.attachVm(`${name}1`), await host.host.attachVm(`${name}2`));
    host.host.datapath.listen(host.heard);
    await host.host.datapath.start();
    await this.rig.eventually("three ports", () => (host.heard.ports.size >= 3 ? true : null));
  }
}
