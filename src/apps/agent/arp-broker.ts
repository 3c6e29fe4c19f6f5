import type { Cancel, RouterId, Scheduler } from "#core/base";
import { buildArpRequest, formatIpv4, type Ipv4, type Mac } from "#core/packets";
import type { GeneratedPacket } from "#core/simulation";
import type { PortDevice } from "#core/topology";

/** An unanswered ARP request is repeated after this long… */
export const ARP_RETRY_MS = 1_000;
/** …this many times; waiting packets give up by themselves after 5 s. */
const ARP_TRIES = 5;

interface Question {
  tries: number;
  timer: Cancel | null;
}

/** Asks for neighbours of routers, each question once at a time. */
export class ArpBroker {
  private readonly scheduler: Scheduler;
  private readonly send: (packet: GeneratedPacket) => void;
  private readonly open = new Map<string, Question>();
  asked = 0;

  constructor(scheduler: Scheduler, send: (packet: GeneratedPacket) => void) {
    this.scheduler = scheduler;
    this.send = send;
  }

  ask(router: RouterId, port: PortDevice, ip: number): void {
    const key = `${router} ${ip}`;
    if (this.open.has(key)) return;
    const question: Question = { tries: 0, timer: null };
    this.open.set(key, question);
    // Not inside the packet that asks: that one is in the middle of its own simulation.
    question.timer = this.scheduler.after(0, () => this.repeat(key, question, port, ip));
  }

  answered(router: RouterId, ip: number): void {
    const key = `${router} ${ip}`;
    this.open.get(key)?.timer?.cancel();
    this.open.delete(key);
  }

  stop(): void {
    for (const question of this.open.values()) question.timer?.cancel();
    this.open.clear();
  }

  private repeat(key: string, question: Question, port: PortDevice, ip: number): void {
    if (question.tries >= ARP_TRIES) {
      this.open.delete(key);
      return;
    }
    question.tries++;
    this.asked++;
    question.timer = this.scheduler.after(ARP_RETRY_MS, () => this.repeat(key, question, port, ip));
    const frame = buildArpRequest({ senderMac: port.mac as Mac, senderIp: port.address as Ipv4, targetIp: ip as Ipv4 });
    this.send({ port: port.id, frame, cause: `ARP request for ${formatIpv4(ip)}` });
  }
}
