import { MidotraceError } from "#core/base";

/** Of an interface of this machine, as Node's `networkInterfaces` says it. */
export interface OwnAddress {
  readonly address: string;
  readonly family: string;
  readonly internal: boolean;
}

const WILDCARD = /^(https?:\/\/)(0\.0\.0\.0|\[::\])(:\d+)$/;

/**
 * The URL that agents are told of a server which listens at `url`. A wildcard address is none that anybody can reach; in its
 * place stands the machine's only IPv4 address.
 * @throws MidotraceError USAGE when the machine has none or several: which of them agents can reach nobody knows.
 */
export function advertisedUrl(url: string, own: readonly (OwnAddress | undefined)[]): string {
  const match = WILDCARD.exec(url);
  if (match === null) return url;
  const addresses = own.flatMap((a) => (a === undefined || a.internal || a.family !== "IPv4" ? [] : [a.address]));
  const [only] = addresses;
  if (only === undefined || addresses.length > 1) {
    const found = only === undefined ? "no IPv4 address" : `several addresses (${addresses.join(", ")})`;
    throw new MidotraceError(
      "USAGE",
      `${url} is no address that agents can reach, and this machine has ${found}: say which with --advertise ${match[1]}ADDRESS:PORT`,
    );
  }
  return `${match[1]}${only}${match[3]}`;
}
