import { MidotraceError } from "#core/base";

export { type ListenAddress, parseListen } from "#apps/cli/options";

/** Only this machine can reach it: 127.0.0.0/8, ::1 and the name for them. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}

/**
 * A server that asks nobody who they are listens where only this machine can reach it.
 * @throws MidotraceError USAGE for any other address, unless told that it is wanted.
 */
export function requireLoopback(host: string, insecure: boolean, option: "listen" | "collect" = "listen"): void {
  if (insecure || isLoopback(host)) return;
  const risk = { listen: "would be an administrator", collect: "could deliver made-up traces" }[option];
  throw new MidotraceError(
    "USAGE",
    `--${option} ${host}: nobody is asked for a password, so everybody who reaches it ${risk}; if that is wanted, say --insecure too`,
  );
}
