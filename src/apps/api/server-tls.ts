import { createServer, type Server } from "node:https";
import type { RequestListener } from "node:http";
import { parserOptions } from "./connections.ts";
import type { ServerLimits } from "./limits.ts";

/** A certificate and its key (PEM), which may change. */
export interface TlsSource {
  material(): { readonly cert: string; readonly key: string };
  onChange(listener: () => void): void;
}

/** The TLS side of an address: version 1.2 or later, as Node has it. */
export class ServerTls {
  private readonly source: TlsSource;
  private readonly clientCa: string | null;

  /** @param clientCa authorities (PEM): clients are asked for a certificate of theirs; one without is let in, too. */
  constructor(source: TlsSource, clientCa: string | null) {
    this.source = source;
    this.clientCa = clientCa;
  }

  /** Connections that there are keep what they began with; new ones get the certificate that is right then. */
  createServer(listener: RequestListener, limits: ServerLimits): Server {
    const server = createServer(
      {
        ...this.context(),
        ...parserOptions(limits),
        handshakeTimeout: limits.headersTimeoutMs,
        ...(this.clientCa === null ? {} : { requestCert: true, rejectUnauthorized: false }),
      },
      listener,
    );
    this.source.onChange(() => server.setSecureContext(this.context()));
    return server;
  }

  private context(): { readonly cert: string; readonly key: string; readonly ca?: string } {
    const { cert, key } = this.source.material();
    return this.clientCa === null ? { cert, key } : { cert, key, ca: this.clientCa };
  }
}
