import { isUuid } from "#core/base";
import { ETHERTYPE, IP_PROTO } from "#core/flows";
import { formatIpv4, formatMac, parseIpv4, parseIpv4Prefix, parseIpv6, parseMac, prefixMask } from "#core/packets";
import type { Condition } from "./condition.ts";
import { badExpression, numberOf, type Token, type Tokens } from "./expression-tokens.ts";
import { didYouMean } from "#core/base";

/** What one primitive asks for: fields that are and-ed. `negated`: the words mean the opposite of the fields. */
export interface Primitive {
  readonly token: Token;
  readonly fields: Condition;
  readonly negated?: boolean;
}

export const ETHERTYPE_WORDS: ReadonlyMap<string, number> = new Map([
  ["ip", ETHERTYPE.IPV4],
  ["arp", ETHERTYPE.ARP],
  ["ip6", ETHERTYPE.IPV6],
]);
export const PROTO_WORDS: ReadonlyMap<string, number> = new Map([
  ["tcp", IP_PROTO.TCP],
  ["udp", IP_PROTO.UDP],
]);
const PROTO_NAMES = new Map<string, number>([...PROTO_WORDS, ["icmp", IP_PROTO.ICMP], ["icmp6", IP_PROTO.ICMPV6]]);
/** IPv4 only: as a protocol number alone, 1 would be an ARP request's operation too. */
export const ICMP: Condition = { dlType: ETHERTYPE.IPV4, nwProto: IP_PROTO.ICMP };
export const ICMP6: Condition = { dlType: ETHERTYPE.IPV6, nwProto: IP_PROTO.ICMPV6 };

/** pcap-filter's names of ICMP types. */
const ICMP_TYPES: ReadonlyMap<string, number> = new Map(
  Object.entries({
    "echo-reply": 0,
    echoreply: 0,
    unreachable: 3,
    unreach: 3,
    sourcequench: 4,
    redirect: 5,
    "echo-request": 8,
    echo: 8,
    routeradvert: 9,
    routersolicit: 10,
    "time-exceeded": 11,
    timxceed: 11,
    "parameter-problem": 12,
    paramprob: 12,
    tstamp: 13,
    tstampreply: 14,
  }),
);

const WORDS = ["tcp", "udp", "icmp", "icmp6", "arp", "ip", "ip6", "proto", "ether", "src", "dst", "host", "net"].concat(
  ["port", "portrange", "vlan", "icmptype", "icmpcode", "tos", "inport", "outport", "not", "and", "or", "any"],
);

/**
 * Reads one primitive.
 *
 * @throws MidotraceError BAD_EXPRESSION
 */
export function parsePrimitive(tokens: Tokens): Primitive {
  const token = tokens.value("an expression such as `tcp` or `dst port 80`");
  const etherType = ETHERTYPE_WORDS.get(token.word);
  if (etherType !== undefined) return { token, fields: { dlType: etherType } };
  const proto = PROTO_WORDS.get(token.word);
  if (proto !== undefined) return { token, fields: { nwProto: proto } };
  switch (token.word) {
    case "any":
      return { token, fields: {} };
    case "icmp":
      return { token, fields: ICMP };
    case "icmp6":
      return { token, fields: ICMP6 };
    case "proto":
      return { token, fields: { nwProto: protocolNumber(tokens) } };
    case "ether":
      return parseEther(token, tokens);
    case "src":
    case "dst":
      return parseDirected(token, tokens);
    case "host":
    case "net":
    case "port":
    case "portrange":
      return refuseUndirected(token, tokens);
    case "vlan":
      if (!/^(\d|0x)/.test(tokens.peek().word)) return { token, fields: { noVlan: true }, negated: true };
      return { token, fields: { vlan: tokens.number("the VLAN id", 1, 4094) } };
    case "icmptype":
      return { token, fields: { ...ICMP, tpSrc: single(icmpType(tokens)) } };
    case "icmpcode":
      return { token, fields: { ...ICMP, tpDst: single(tokens.number("the ICMP code", 0, 255)) } };
    case "tos":
      return { token, fields: { nwTos: tokens.number("the TOS byte (0 cannot be asked for)", 1, 255) } };
    case "inport":
      return { token, fields: { inPorts: uuids(tokens) } };
    case "outport":
      return { token, fields: { outPorts: uuids(tokens) } };
    default:
      return badExpression(token, `unknown word${didYouMean(token.word, WORDS)}`);
  }
}

function parseEther(token: Token, tokens: Tokens): Primitive {
  const kind = tokens.value("`proto`, `src` or `dst` after `ether`");
  switch (kind.word) {
    case "proto": {
      const named = ETHERTYPE_WORDS.get(tokens.peek().word.replace("\\", ""));
      if (named !== undefined) tokens.next();
      return { token, fields: { dlType: named ?? tokens.number("the ethertype", 0x0600, 0xffff) } };
    }
    case "src":
    case "dst": {
      tokens.accept("host");
      const mac = macOf(tokens.value("a MAC address"));
      return { token, fields: kind.word === "src" ? { dlSrc: mac } : { dlDst: mac } };
    }
    case "host": {
      const mac = macOf(tokens.value("a MAC address"));
      return badExpression(
        token,
        `\`ether host ${mac}\` means source or destination; write \`ether src ${mac}\` or \`ether dst ${mac}\`, or create two traces`,
      );
    }
    default:
      return badExpression(kind, "after `ether` comes `proto`, `src` or `dst`");
  }
}

/** Behind `src` or `dst`. */
function parseDirected(token: Token, tokens: Tokens): Primitive {
  const source = token.word === "src";
  const kind = tokens.value(`\`host\`, \`net\`, \`port\` or \`portrange\` after \`${token.word}\``);
  switch (kind.word) {
    case "net": {
      const at = tokens.value("a network such as 10.0.1.0/24");
      const prefix = parseIpv4Prefix(at.text);
      if (prefix === null || !at.text.includes("/")) return badExpression(at, "must be a network such as 10.0.1.0/24");
      const network = formatIpv4((prefix.address & prefixMask(prefix.length)) >>> 0);
      if (network !== formatIpv4(prefix.address))
        return badExpression(
          at,
          `has bits set behind its prefix; write ${network}/${prefix.length}, or \`host\` for one address`,
        );
      return { token, fields: address(source, network, prefix.length) };
    }
    case "port": {
      const range = single(tokens.number("the L4 port", 0, 0xffff));
      return { token, fields: source ? { tpSrc: range } : { tpDst: range } };
    }
    case "portrange": {
      const at = tokens.value("a range such as 8000-8080");
      const [first = "", last = "", ...more] = at.word.split(/[-:]/);
      if (last === "" || more.length > 0) return badExpression(at, "must be a range such as 8000-8080");
      const start = numberOf(at, first, "the first L4 port", 0, 0xffff);
      const range = { start, end: numberOf(at, last, "the last L4 port", start, 0xffff) };
      return { token, fields: source ? { tpSrc: range } : { tpDst: range } };
    }
    case "host":
      return { token, fields: address(source, hostOf(tokens.value("an IPv4 address")), 32) };
    case "or":
    case "and":
      return badExpression(
        token,
        `write one direction: \`src …\` or \`dst …\`${kind.word === "or" ? ", or create two traces" : ""}`,
      );
    default:
      if (!/^[0-9a-f:.]+$/.test(kind.word))
        return badExpression(
          kind,
          `after \`${token.word}\` comes \`host\`, \`net\`, \`port\`, \`portrange\` or an address`,
        );
      return { token, fields: address(source, hostOf(kind), 32) };
  }
}

function refuseUndirected(token: Token, tokens: Tokens): never {
  const value = tokens.done ? "…" : tokens.peek().text;
  const said = `${token.word} ${value}`;
  badExpression(
    token,
    `\`${said}\` means source or destination; write \`dst ${said}\` or \`src ${said}\`, or create two traces`,
  );
}

function address(source: boolean, ip: string, length: number): Condition {
  return source ? { nwSrcAddress: ip, nwSrcLength: length } : { nwDstAddress: ip, nwDstLength: length };
}

function single(n: number): { start: number; end: number } {
  return { start: n, end: n };
}

function hostOf(token: Token): string {
  const ip = parseIpv4(token.text);
  if (ip !== null) return formatIpv4(ip);
  if (parseIpv6(token.text) !== null)
    return badExpression(token, "conditions compare IPv4 addresses only; `ip6` matches all of IPv6");
  return badExpression(token, "must be an IPv4 address such as 10.0.1.10 (write `net` for a network)");
}

function macOf(token: Token): string {
  const mac = parseMac(token.text);
  return mac === null ? badExpression(token, "must be a MAC address such as 02:00:00:00:00:01") : formatMac(mac);
}

function protocolNumber(tokens: Tokens): number {
  const named = PROTO_NAMES.get(tokens.peek().word.replace("\\", ""));
  if (named === undefined) return tokens.number("the IP protocol (0 cannot be asked for)", 1, 255);
  tokens.next();
  return named;
}

function icmpType(tokens: Tokens): number {
  const named = ICMP_TYPES.get(tokens.peek().word.replace(/^icmp-/, ""));
  if (named === undefined) return tokens.number("the ICMP type", 0, 255);
  tokens.next();
  return named;
}

function uuids(tokens: Tokens): string[] {
  const token = tokens.value("the UUID of a virtual port");
  const ids = token.word.split(",");
  for (const id of ids)
    if (!isUuid(id)) return badExpression(token, "must be the UUID of a virtual port, or several with commas");
  return [...new Set(ids)].sort();
}
