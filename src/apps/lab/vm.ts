import type { Clock, Scheduler } from "#core/base";
import {
  ARP_REQUEST,
  type ArpLayer,
  buildArpReply,
  buildArpRequest,
  buildIcmpEcho,
  buildIcmpError,
  buildTcp,
  buildUdp,
  type DecodedFrame,
  decodeFrame,
  ICMP_ECHO_REPLY,
  ICMP_ECHO_REQUEST,
  ICMP_UNREACHABLE,
  type IcmpEchoLayer,
  type IcmpErrorLayer,
  type Ipv4,
  type Ipv4Layer,
  isIpv4Fragment,
  isMulticastMac,
  type Mac,
  MAC_BROADCAST,
  prefixContains,
  PROTO_ICMP,
  PROTO_TCP,
  PROTO_UDP,
  type UdpLayer,
} from "#core/packets";
import type { Answer } from "./vm-answer.ts";
import { Neighbours } from "./vm-neighbours.ts";
import { tcpKey, TinyTcp } from "./vm-tcp.ts";
import { Waiting } from "./vm-waiting.ts";

export interface VmConfig {
  readonly name: string;
  readonly mac: Mac;
  readonly ip: Ipv4;
  /** 0..32 */
  readonly prefixLength: number;
  /** Null: only its own network is reached. */
  readonly gateway: Ipv4 | null;
  /** TCP ports that accept; every other answers with a reset. Default 80 and 22. */
  readonly listen?: readonly number[];
}

/** Where the VM's frames go. */
export interface Wire {
  send(frame: Uint8Array): void;
}

/** RFC 862. */
export const UDP_ECHO_PORT = 7;
const DEFAULT_LISTEN: readonly number[] = [80, 22];
const TIMEOUT_MS = 2_000;
const PORT_UNREACHABLE = 3;
/** RFC 6335: dynamic ports. */
const FIRST_DYNAMIC_PORT = 49_152;

export interface PingOptions {
  /** Default 1. */
  readonly count?: number;
  /** ICMP identifier; default: the next of this VM. */
  readonly id?: number;
  /** Between two requests; default 1000. */
  readonly intervalMs?: number;
  readonly timeoutMs?: number;
}

export interface SendOptions {
  /** Default: the next dynamic port of this VM. */
  readonly srcPort?: number;
  readonly timeoutMs?: number;
}

/**
 * A small host behind a virtual port: answers ARP, echo, UDP port 7 and a little TCP; asks ARP for its next hops; and
 * can itself ping, send and connect. All time comes from the clock and scheduler handed in.
 */
export class Vm {
  readonly config: VmConfig;
  private readonly scheduler: Scheduler;
  private readonly waiting: Waiting;
  private readonly neighbours: Neighbours;
  private readonly tcp: TinyTcp;
  private wire: Wire | null = null;
  private nextPort = FIRST_DYNAMIC_PORT;
  private nextPingId = 1;

  constructor(config: VmConfig, clock: Clock, scheduler: Scheduler) {
    this.config = config;
    this.scheduler = scheduler;
    this.waiting = new Waiting(clock, scheduler);
    this.neighbours = new Neighbours(clock, scheduler, (ip) => this.askFor(ip));
    this.tcp = new TinyTcp(new Set(config.listen ?? DEFAULT_LISTEN), this.waiting, (s) => {
      this.sendIp(s.dst, (base) => buildTcp({ ...base, ...s }), tcpKey(s.dst, s.srcPort, s.dstPort));
    });
  }

  get name(): string {
    return this.config.name;
  }

  /** Plugs the VM in; frames for it come to `receive`. */
  attach(wire: Wire): void {
    this.wire = wire;
  }

  /** Unplugs it: whatever it waits for ends in a timeout, and it forgets its neighbours. */
  detach(): void {
    this.wire = null;
    this.neighbours.clear();
    this.waiting.clear();
    this.tcp.clear();
  }

  /** Sends echo requests one after the other. @returns one answer for each. */
  async ping(dst: Ipv4, options: PingOptions = {}): Promise<Answer[]> {
    const id = options.id ?? this.takePingId();
    const count = options.count ?? 1;
    const answers: Promise<Answer>[] = [];
    for (let seq = 1; seq <= count; seq++) {
      if (seq > 1) await this.pause(options.intervalMs ?? 1_000);
      const key = echoKey(dst, id, seq);
      answers.push(this.waiting.begin(key, options.timeoutMs ?? TIMEOUT_MS));
      this.sendIp(dst, (base) => buildIcmpEcho({ ...base, icmpId: id, seq, payload: pingPayload() }), key);
    }
    return Promise.all(answers);
  }

  /** Sends one datagram. A reply is any datagram that comes back between the same two ports. */
  async udp(dst: Ipv4, dstPort: number, payload: Uint8Array, options: SendOptions = {}): Promise<Answer> {
    const srcPort = options.srcPort ?? this.takePort();
    const key = udpKey(dst, srcPort, dstPort);
    const answer = this.waiting.begin(key, options.timeoutMs ?? TIMEOUT_MS);
    this.sendIp(dst, (base) => buildUdp({ ...base, srcPort, dstPort, payload }), key);
    return answer;
  }

  /** Opens a connection and closes it at once. A reply is the accepted handshake. */
  async tcpConnect(dst: Ipv4, dstPort: number, options: SendOptions = {}): Promise<Answer> {
    const srcPort = options.srcPort ?? this.takePort();
    const answer = this.waiting.begin(tcpKey(dst, srcPort, dstPort), options.timeoutMs ?? TIMEOUT_MS);
    this.tcp.connect(dst, srcPort, dstPort);
    return answer;
  }

  /** A frame from the network. Never throws, whatever the bytes. */
  receive(frame: Uint8Array): void {
    const packet = decodeFrame(frame);
    const [ethernet, network] = packet.layers;
    if (ethernet?.kind !== "ethernet" || ethernet.tags.length > 0) return;
    if (ethernet.dst !== this.config.mac && ethernet.dst !== MAC_BROADCAST) return;
    if (isMulticastMac(ethernet.src)) return;
    if (network?.kind === "arp") this.onArp(network);
    else if (network?.kind === "ipv4" && network.dst === this.config.ip && network.checksumOk) {
      if (!isIpv4Fragment(network)) this.onIp(network, packet, frame);
    }
  }

  private onArp(arp: ArpLayer): void {
    const { mac, ip } = this.config;
    const forUs = arp.targetIp === ip;
    if (arp.senderIp !== 0 && arp.senderIp !== ip) this.neighbours.learn(arp.senderIp, arp.senderMac, forUs);
    if (arp.operation === ARP_REQUEST && forUs && arp.senderIp !== ip) {
      this.wire?.send(
        buildArpReply({ senderMac: mac, senderIp: ip, targetMac: arp.senderMac, targetIp: arp.senderIp }),
      );
    }
  }

  private onIp(ip: Ipv4Layer, packet: DecodedFrame, frame: Uint8Array): void {
    const [, , transport, above] = packet.layers;
    const payload = above?.kind === "payload" ? above.bytes : new Uint8Array(0);
    if (transport === undefined || !("checksumOk" in transport) || transport.checksumOk !== true) return;
    if (transport.kind === "udp") this.onUdp(ip, transport, payload, frame);
    else if (transport.kind === "tcp") this.tcp.receive(ip.src, ip.ttl, transport, payload.length);
    else if (transport.kind === "icmp-echo" || transport.kind === "icmp-error") this.onIcmp(ip, transport, payload);
  }

  private onIcmp(ip: Ipv4Layer, icmp: IcmpEchoLayer | IcmpErrorLayer, payload: Uint8Array): void {
    if (icmp.kind === "icmp-echo" && icmp.type === ICMP_ECHO_REQUEST) {
      const { id: icmpId, seq } = icmp;
      this.sendIp(ip.src, (base) => buildIcmpEcho({ ...base, reply: true, icmpId, seq, payload }), null);
    } else if (icmp.kind === "icmp-echo" && icmp.type === ICMP_ECHO_REPLY) {
      this.waiting.end(echoKey(ip.src, icmp.id, icmp.seq), { kind: "reply", from: ip.src, ttl: ip.ttl });
    } else if (icmp.kind === "icmp-error" && icmp.quoted !== null) {
      const { ip: about, ports, icmp: echo } = icmp.quoted;
      if (about.src !== this.config.ip) return;
      const error = { kind: "icmp-error", from: ip.src, type: icmp.type, code: icmp.code } as const;
      if (about.protocol === PROTO_ICMP && echo !== null)
        this.waiting.end(echoKey(about.dst, echo.id, echo.seq), error);
      if (ports === null) return;
      if (about.protocol === PROTO_UDP) this.waiting.end(udpKey(about.dst, ports.src, ports.dst), error);
      if (about.protocol === PROTO_TCP) this.waiting.end(tcpKey(about.dst, ports.src, ports.dst), error);
    }
  }

  private onUdp(ip: Ipv4Layer, udp: UdpLayer, payload: Uint8Array, frame: Uint8Array): void {
    const { srcPort, dstPort } = udp;
    if (this.waiting.end(udpKey(ip.src, dstPort, srcPort), { kind: "reply", from: ip.src, ttl: ip.ttl })) return;
    if (dstPort === UDP_ECHO_PORT) {
      this.sendIp(ip.src, (base) => buildUdp({ ...base, srcPort: dstPort, dstPort: srcPort, payload }), null);
    } else if (dstPort < FIRST_DYNAMIC_PORT) {
      // Not for dynamic ports: an echo that comes too late must not look like a service that is down.
      const error = { type: ICMP_UNREACHABLE, code: PORT_UNREACHABLE, quotedFrame: frame };
      this.sendIp(ip.src, (base) => buildIcmpError({ ...base, ...error }), null);
    }
  }

  /** Resolves the next hop and sends. `key`: the attempt to end when the next hop does not answer. */
  private sendIp(dst: Ipv4, build: (base: Addresses) => Uint8Array, key: string | null): void {
    const { mac, ip, prefixLength, gateway } = this.config;
    const onLink = prefixContains({ address: ip, length: prefixLength }, dst);
    const nextHop = onLink ? dst : gateway;
    const fail = (): void => {
      if (key !== null) this.waiting.end(key, { kind: "unresolved", nextHop: nextHop ?? dst });
    };
    if (nextHop === null) {
      fail();
      return;
    }
    const send = (ethDst: Mac): void => this.wire?.send(build({ ethSrc: mac, ethDst, ipSrc: ip, ipDst: dst }));
    this.neighbours.resolve(nextHop, send, fail);
  }

  private askFor(targetIp: Ipv4): void {
    const { mac, ip } = this.config;
    this.wire?.send(buildArpRequest({ senderMac: mac, senderIp: ip, targetIp }));
  }

  private pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.scheduler.after(delayMs, resolve));
  }

  private takePort(): number {
    const port = this.nextPort;
    this.nextPort = port === 0xffff ? FIRST_DYNAMIC_PORT : port + 1;
    return port;
  }

  private takePingId(): number {
    const id = this.nextPingId;
    this.nextPingId = (id & 0xffff) === 0xffff ? 1 : id + 1;
    return id;
  }
}

interface Addresses {
  readonly ethSrc: Mac;
  readonly ethDst: Mac;
  readonly ipSrc: Ipv4;
  readonly ipDst: Ipv4;
}

const echoKey = (remote: Ipv4, id: number, seq: number): string => `icmp ${remote} ${id} ${seq}`;
const udpKey = (remote: Ipv4, localPort: number, remotePort: number): string =>
  `udp ${remote} ${localPort} ${remotePort}`;

/** 56 bytes, as ping(8) sends. */
function pingPayload(): Uint8Array {
  return Uint8Array.from({ length: 56 }, (_, i) => i);
}
