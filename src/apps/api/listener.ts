import type { AddressInfo } from "node:net";
import { Server as HttpsServer } from "node:https";
import type { Cancel, Scheduler } from "#core/base";
import type { FastifyInstance } from "fastify";

/** Requests under way at the end get this long to be answered, ms. */
const LAST_ANSWERS_MS = 5_000;

/** One address that a server listens at. */
export class Listener {
  private readonly app: FastifyInstance;
  private readonly scheduler: Scheduler;
  private underWay = 0;
  private whenQuiet: (() => void) | null = null;
  /** "http://127.0.0.1:8181"; "" while it does not listen. */
  url = "";

  constructor(app: FastifyInstance, scheduler: Scheduler) {
    this.app = app;
    this.scheduler = scheduler;
    app.addHook("onRequest", async (request, reply) => {
      const { endless } = request.routeOptions.config as { readonly endless?: boolean };
      if (endless === true) return;
      this.underWay++;
      // Once for every answer, also one that the client did not wait for.
      reply.raw.once("close", () => this.answered());
    });
  }

  /** @throws the error of the network, as when the address is in use. */
  async open(host: string, port: number): Promise<void> {
    await this.app.listen({ host, port });
    const address = this.app.server.address() as AddressInfo;
    const shown = address.family === "IPv6" ? `[${address.address}]` : address.address;
    this.url = `${this.app.server instanceof HttpsServer ? "https" : "http"}://${shown}:${address.port}`;
  }

  /** Takes no new requests; those under way are answered, as long as that does not take for ever. */
  async close(): Promise<void> {
    const closed = this.app.close();
    let deadline: Cancel | null = null;
    await new Promise<void>((resolve) => {
      this.whenQuiet = resolve;
      if (this.underWay === 0) resolve();
      else deadline = this.scheduler.after(LAST_ANSWERS_MS, resolve);
    });
    (deadline as Cancel | null)?.cancel();
    this.app.server.closeAllConnections();
    await closed;
    this.url = "";
  }

  private answered(): void {
    this.underWay--;
    if (this.underWay === 0) this.whenQuiet?.();
  }
}
