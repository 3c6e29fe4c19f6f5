/** What tracing puts on the wire between hosts, as tshark sees it, and what it leaves in the switches. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { FLOW_STATE_KEY, TRACE_BIT } from "#core/flows";
import { decodeTraceState, type PublicFlowTrace, packetToken } from "#core/tracing";
import { hostsOf, skipWithoutLab, TestLab, timed, twoNetworks } from "../../support/real-lab.ts";
import { decodeVxlan, type TunnelledPacket } from "../../support/tshark.ts";

const UDP_SCRIPT = join(import.meta.dirname, "../../support/vm-udp.py");
const STATE_PORT = 2925;
const ECHO_PORT = 7;
const [REQUEST, REPLY] = [8, 0];

describe("a traced flow on the wire", { skip: skipWithoutLab("ping", "python3", "tshark") }, () => {
  let lab: TestLab;
  let captures: string;

  before(async () => {
    lab = await TestLab.start(twoNetworks("wire-"));
    captures = await lab.lab.testbed.directory("captures");
    await lab.acquaint(["wire-1", "wire-2"], ["wire-3", "wire-4"], ["wire-1", "wire-4"], ["wire-3", "wire-2"]);
  });
  after(async () => {
    assert.deepEqual(lab?.complaints ?? [], []);
    await lab?.stop();
  });

  /** What the underlay carried while `act` ran, and the flow traces of it. */
  async function traced(
    name: string,
    match: string,
    count: number,
    act: () => Promise<void>,
  ): Promise<{ packets: TunnelledPacket[]; flows: readonly PublicFlowTrace[]; switches: Record<string, string[]> }> {
    const trace = await lab.trace("router router", match, 100);
    await trace.enable("a", "b");
    const capture = await lab.lab.underlay.capture(join(captures, `${name}.pcap`), "udp port 4789");
    await act();
    const flows = await trace.settled(count);
    const packets = await decodeVxlan(await capture.stop());
    const switches = { a: await lab.flows("a"), b: await lab.flows("b"), c: await lab.flows("c") };
    await trace.disable("a", "b");
    await trace.delete();
    return { packets, flows, switches };
  }

  const A = "192.0.2.1";
  const B = "192.0.2.2";
  const keyOf = (port: string): number => lab.port(port).tunnelKey;

  /**
   * One direction of one flow: the trace state of its first packet, that packet with the bit, all others without.
   *
   * @param wire of everything that went from the one host to the other.
   */
  function assertDirection(
    wire: readonly TunnelledPacket[],
    flow: PublicFlowTrace | undefined,
    ingress: "a" | "b",
    egressPort: string,
    later: number,
  ): void {
    const key = keyOf(egressPort);
    assert.ok(key > 0 && key <= 0xf_ffff);
    const vnis = wire.map((p) => p.vni.toString(16));
    const plain = Array.from({ length: wire.length - 2 }, () => key.toString(16));
    assert.deepEqual(vnis, ["ffffff", (TRACE_BIT | key).toString(16), ...plain]);
    assert.ok(wire.length - 2 >= later, `${wire.length - 2} packets after the first`);
    const [message, packet] = wire as [TunnelledPacket, TunnelledPacket];
    assert.equal(message.vni, FLOW_STATE_KEY);
    assert.match(message.protocols, /^eth:ethertype:ip:udp:/);
    assert.deepEqual([message.ipSrc, message.ipDst], ["169.254.15.1", "169.254.15.2"]);
    assert.deepEqual(message.ports, [STATE_PORT, STATE_PORT]);
    const decoded = decodeTraceState(message.frame);
    assert.ok(decoded.ok, decoded.ok ? "" : decoded.reason);
    const { state } = decoded;
    assert.equal(state.senderHostId, lab.host(ingress).id);
    assert.equal(state.flowTraceId, flow?.flowTraceId);
    assert.deepEqual(state.requestIds, flow?.traceRequestIds);
    assert.deepEqual(state.tunnelKeys, [key]);
    assert.equal(state.token, packetToken(packet.frame), "the token is of the very next packet");
    assert.deepEqual([state.key.networkSrc, state.key.networkDst], [packet.ipSrc, packet.ipDst]);
    assert.notEqual(state.key.ethSrc, flow?.key?.ethSrc, "as it looks behind the router");
  }

  function assertTwoHosts(flows: readonly PublicFlowTrace[]): void {
    assert.deepEqual(flows.map(hostsOf), [
      ["a", "b"],
      ["b", "a"],
    ]);
    for (const flow of flows) {
      assert.deepEqual([flow.verdict, flow.completeness], ["delivered", { state: "complete", missing: [] }]);
      assert.deepEqual(
        flow.segments.map((s) => [s.role, s.verdict, s.duplicate, s.joinedBy]),
        [
          ["ingress", "delivered", false, "state"],
          ["egress", "delivered", false, "state"],
        ],
      );
      const [ingress, egress] = flow.segments.map((s) =>
        s.steps.map((step) => ("kind" in step ? step.kind : "withheld")),
      );
      for (const kind of ["trace-matched", "route-lookup", "state-sent", "tunnel-sent"] as const)
        assert.ok(ingress?.includes(kind), kind);
      for (const kind of ["tunnel-received", "delivered"] as const) assert.ok(egress?.includes(kind), kind);
    }
  }

  /** No flow of any switch sets or matches a key with the trace bit. @returns those that name the key without it. */
  function withKey(switches: Record<string, string[]>, host: string, port: string): string[] {
    const keys = /tun_id[=:](0x[0-9a-f]+)|set_field:(0x[0-9a-f]+)->tun_id/g;
    const of = (line: string): number[] => [...line.matchAll(keys)].map((m) => Number(m[1] ?? m[2]));
    for (const line of Object.values(switches).flat())
      for (const key of of(line)) assert.ok(key < TRACE_BIT, `the trace bit is in a flow: ${line}`);
    return (switches[host] ?? []).filter((line) => of(line).includes(keyOf(port)));
  }

  const fromTo = (packets: readonly TunnelledPacket[], from: string, to: string): TunnelledPacket[] =>
    packets.filter((p) => p.from === from && p.to === to);

  function assertThirdHostSawNothing(packets: readonly TunnelledPacket[]): void {
    assert.deepEqual(
      packets.filter((p) => ![A, B].includes(p.from) || ![A, B].includes(p.to)),
      [],
    );
  }

  it("a ping: state, then the packet with the bit, then packets without; two flow traces of two hosts each", async (t) => {
    const { packets, flows, switches } = await timed(t, "ping", () =>
      traced("ping", "icmp", 2, async () => {
        await lab.ping("wire-1", lab.ip("wire-2"), "-c", "3", "-i", "0.2", "-e", "4711");
      }),
    );
    assertTwoHosts(flows);
    assertThirdHostSawNothing(packets);
    assertDirection(fromTo(packets, A, B), flows[0], "a", "two/p2", 2);
    assertDirection(fromTo(packets, B, A), flows[1], "b", "one/p1", 2);
    const echoes = (from: string, to: string, type: number): unknown[] =>
      fromTo(packets, from, to)
        .slice(1)
        .map((p) => (p.icmp?.type === type && p.icmp.id === 4711 ? p.icmp.seq : p));
    assert.deepEqual(echoes(A, B, REQUEST), [1, 2, 3]);
    assert.deepEqual(echoes(B, A, REPLY), [1, 2, 3]);
    withKey(switches, "a", "two/p2");
  });

  it("UDP: the installed flows know no bit, and what follows goes by them", async (t) => {
    const { packets, flows, switches } = await timed(t, "UDP", () =>
      traced("udp", "udp", 2, async () => {
        const sizes = ["100", "101", "102", "103"];
        const { stdout } = await lab.exec(
          "wire-1",
          "python3",
          UDP_SCRIPT,
          "echo",
          lab.ip("wire-2"),
          `${ECHO_PORT}`,
          ...sizes,
        );
        assert.equal(stdout, sizes.map((n) => `${n} back\n`).join(""));
      }),
    );
    assertTwoHosts(flows);
    assertThirdHostSawNothing(packets);
    assertDirection(fromTo(packets, A, B), flows[0], "a", "two/p2", 3);
    assertDirection(fromTo(packets, B, A), flows[1], "b", "one/p1", 3);
    assert.deepEqual([packets[1]?.ports?.[1], packets[3]?.ports?.[0]], [ECHO_PORT, ECHO_PORT]);
    assertServed(switches, "udp");
  });

  it("TCP: only its first packet of each direction is traced", async (t) => {
    const { packets, flows, switches } = await timed(t, "TCP", () =>
      traced("tcp", "tcp", 2, async () => {
        const { stdout } = await lab.exec("wire-1", "bash", "-c", `exec 3<>/dev/tcp/${lab.ip("wire-2")}/80; cat <&3`);
        assert.equal(stdout, "this is port 80\n");
      }),
    );
    assertTwoHosts(flows);
    assertThirdHostSawNothing(packets);
    assertDirection(fromTo(packets, A, B), flows[0], "a", "two/p2", 2);
    assertDirection(fromTo(packets, B, A), flows[1], "b", "one/p1", 2);
    assertServed(switches, "tcp");
  });

  /** Ingress sets the plain key, egress matches exactly it: in both directions. */
  function assertServed(switches: Record<string, string[]>, protocol: string): void {
    for (const [ingress, egress, port] of [
      ["a", "b", "two/p2"],
      ["b", "a", "one/p1"],
    ] as const) {
      const out = withKey(switches, ingress, port).filter((l) => l.includes(protocol) && l.includes("->tun_id"));
      assert.ok(out.length >= 1, `${ingress} sends ${protocol} by a flow:\n${switches[ingress]?.join("\n")}`);
      const into = withKey(switches, egress, port).filter((l) => /tun_id=/.test(l) && !/tun_id=0x[0-9a-f]+\//.test(l));
      assert.ok(into.length >= 1, `${egress} takes the exact key:\n${switches[egress]?.join("\n")}`);
    }
  }

  it("with tracing disabled nothing of it is on the wire", async () => {
    const trace = await lab.trace("router router", "icmp", 100);
    await trace.enable("a", "b");
    await trace.disable("a", "b");
    const capture = await lab.lab.underlay.capture(join(captures, "off.pcap"), "udp port 4789");
    await lab.ping("wire-1", lab.ip("wire-2"), "-c", "2", "-i", "0.2");
    const packets = await decodeVxlan(await capture.stop());
    assert.deepEqual(
      packets.map((p) => p.vni),
      packets.map((p) => keyOf(p.from === A ? "two/p2" : "one/p1")),
    );
    assert.equal(packets.length, 4);
    assert.deepEqual(await trace.settled(0), []);
    await trace.delete();
  });
});
