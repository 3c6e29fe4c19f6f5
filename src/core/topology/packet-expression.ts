import { type Ipv4, type Mac, parseIpv4, parseMac } from "#core/packets";
import { badExpression, numberOf, type Token, Tokens } from "./expression-tokens.ts";
import { didYouMean } from "#core/base";
import { DEFAULT_TTL, ICMP_ECHO_REQUEST, type PacketSpec, TCP_FLAG } from "./packet-spec.ts";

const TOKEN = /[^\s,]+/g;
const KINDS = ["icmp", "tcp", "udp", "arp"] as const;
type Kind = (typeof KINDS)[number];

/**
 * Reads one packet, in tcpdump's manner or as `key=value` pairs with commas or blanks between them:
 *
 *     icmp 10.0.1.10 > 10.0.2.20 [type N] [code N] [id N] [seq N]
 *     tcp 10.0.1.10:1234 > 10.0.2.20:80 [flags S]          flags: letters of S F R P U and . or A (ACK); default S
 *     udp 10.0.1.10:1234 > 10.0.2.20:53
 *     arp who-has 10.0.1.1 tell 10.0.1.10
 *     … and with each:  eth MAC > MAC, vlan N;  with IPv4: ttl N, length N (bytes behind the L4 header)
 *     proto=tcp,src=10.0.1.10,dst=10.0.2.20,sport=1234,dport=80,flags=S,ethsrc=…,ethdst=…   (arp: src tells, dst is asked for)
 *
 * @throws MidotraceError BAD_EXPRESSION naming the position (column from 1) and the word.
 */
export function parsePacketExpression(text: string): PacketSpec {
  const tokens = new Tokens(text, TOKEN);
  if (tokens.done) return badExpression(tokens.peek(), "a packet such as `icmp 10.0.1.10 > 10.0.2.20` is missing");
  const found = tokens.peek().word.includes("=") ? readPairs(tokens) : readSentence(tokens);
  return build(found, tokens.peek());
}

/** Where each value stood, so that errors can point at it. */
type Found = Map<string, Token>;

const OPTIONS = ["eth", "vlan", "ttl", "length", "type", "code", "id", "seq", "flags"];

function readSentence(tokens: Tokens): Found {
  const found: Found = new Map();
  while (!tokens.done) {
    const token = tokens.next();
    if (KINDS.includes(token.word as Kind)) {
      put(found, "proto", token, token);
      if (token.word === "arp") readArp(found, tokens);
      else readEndpoints(found, tokens, token.word !== "icmp");
    } else if (token.word === "eth") {
      put(found, "ethsrc", tokens.value("the source MAC address"), token);
      arrow(tokens);
      put(found, "ethdst", tokens.value("the destination MAC address"), token);
    } else if (OPTIONS.includes(token.word))
      put(found, token.word, tokens.value(`the value of \`${token.word}\``), token);
    else badExpression(token, `unknown word${didYouMean(token.word, [...KINDS, ...OPTIONS])}`);
  }
  return found;
}

function readArp(found: Found, tokens: Tokens): void {
  const whoHas = tokens.value("`who-has`");
  if (whoHas.word !== "who-has") badExpression(whoHas, "write `arp who-has ADDRESS tell ADDRESS`");
  put(found, "dst", tokens.value("the address asked for"), whoHas);
  const tell = tokens.value("`tell`");
  if (tell.word !== "tell") badExpression(tell, "write `arp who-has ADDRESS tell ADDRESS`");
  put(found, "src", tokens.value("the address that asks"), tell);
}

function readEndpoints(found: Found, tokens: Tokens, ports: boolean): void {
  endpoint(found, tokens.value("the source address"), "src", "sport", ports);
  arrow(tokens);
  endpoint(found, tokens.value("the destination address"), "dst", "dport", ports);
}

function endpoint(found: Found, token: Token, address: string, port: string, ports: boolean): void {
  const colon = token.text.indexOf(":");
  put(found, address, colon < 0 ? token : part(token, 0, colon), token);
  if (colon < 0) return;
  if (!ports) badExpression(token, "ICMP has no ports; write `type`, `code`, `id`");
  put(found, port, part(token, colon + 1), token);
}

function arrow(tokens: Tokens): void {
  const token = tokens.value("`>`");
  if (token.word !== ">") badExpression(token, "`>` is expected between source and destination");
}

const KEYS = ["proto", "src", "dst", "sport", "dport", "ethsrc", "ethdst", ...OPTIONS.slice(1)];

function readPairs(tokens: Tokens): Found {
  const found: Found = new Map();
  while (!tokens.done) {
    const token = tokens.next();
    const equals = token.text.indexOf("=");
    if (equals < 1) badExpression(token, "`key=value` is expected");
    const key = token.word.slice(0, equals);
    if (!KEYS.includes(key)) badExpression(token, `unknown key "${key}"${didYouMean(key, KEYS)}`);
    put(found, key, part(token, equals + 1), token);
  }
  return found;
}

function part(token: Token, from: number, to: number = token.text.length): Token {
  return { text: token.text.slice(from, to), word: token.word.slice(from, to), position: token.position + from };
}

function put(found: Found, key: string, value: Token, at: Token): void {
  if (found.has(key)) badExpression(at, `${key} is given twice`);
  found.set(key, value);
}

/** The keys that make sense for each kind besides `proto`, the addresses, MACs and VLAN. */
const KEYS_OF: Readonly<Record<Kind, readonly string[]>> = {
  icmp: ["ttl", "length", "type", "code", "id", "seq"],
  tcp: ["ttl", "length", "sport", "dport", "flags"],
  udp: ["ttl", "length", "sport", "dport"],
  arp: [],
};
const ALWAYS = new Set(["proto", "src", "dst", "ethsrc", "ethdst", "vlan"]);

function build(found: Found, end: Token): PacketSpec {
  const proto = found.get("proto") ?? badExpression(end, `the kind of packet is missing: ${KINDS.join(", ")}`);
  const kind = KINDS.find((k) => k === proto.word);
  if (kind === undefined) return badExpression(proto, `must be one of ${KINDS.join(", ")}`);
  for (const [key, token] of found)
    if (!ALWAYS.has(key) && !KEYS_OF[kind].includes(key)) badExpression(token, `${kind} packets have no ${key}`);
  const number = (key: string, what: string, max: number, fallback: number | null, min = 0): number => {
    const token = found.get(key);
    if (token !== undefined) return numberOf(token, token.word, what, min, max);
    return fallback ?? badExpression(end, `${what} is missing`);
  };
  const src = ipv4(found.get("src"), "the source address", end);
  const dst = ipv4(found.get("dst"), "the destination address", end);
  const link = {
    ethSrc: mac(found.get("ethsrc")),
    ethDst: mac(found.get("ethdst")),
    vlan: found.has("vlan") ? number("vlan", "the VLAN id", 4094, null, 1) : null,
  };
  if (kind === "arp") return { kind, ...link, sender: src, target: dst };
  const ip = {
    ...link,
    src,
    dst,
    ttl: number("ttl", "the TTL", 255, DEFAULT_TTL),
    lengthBytes: number("length", "the length", 65_000, 0),
  };
  if (kind === "icmp") {
    const type = number("type", "the ICMP type", 255, ICMP_ECHO_REQUEST);
    const code = number("code", "the ICMP code", 255, 0);
    const id = number("id", "the ICMP identifier", 0xffff, 1);
    return { kind, ...ip, type, code, id, seq: number("seq", "the ICMP sequence number", 0xffff, 1) };
  }
  const srcPort = number("sport", "the source L4 port (as in 10.0.1.10:1234)", 0xffff, null);
  const dstPort = number("dport", "the destination L4 port (as in 10.0.2.20:80)", 0xffff, null);
  return kind === "udp"
    ? { kind, ...ip, srcPort, dstPort }
    : { kind, ...ip, srcPort, dstPort, flags: tcpFlags(found.get("flags")) };
}

function ipv4(token: Token | undefined, what: string, end: Token): Ipv4 {
  if (token === undefined) return badExpression(end, `${what} is missing`);
  return parseIpv4(token.text) ?? badExpression(token, `${what} must be an IPv4 address such as 10.0.1.10`);
}

function mac(token: Token | undefined): Mac | null {
  if (token === undefined) return null;
  return parseMac(token.text) ?? badExpression(token, "must be a MAC address such as 02:00:00:00:00:01");
}

function tcpFlags(token: Token | undefined): number {
  if (token === undefined) return TCP_FLAG.S;
  let flags = 0;
  for (const letter of token.text.toUpperCase().replaceAll("A", ".")) {
    const bit = new Map<string, number>(Object.entries(TCP_FLAG)).get(letter);
    if (bit === undefined) return badExpression(token, "flags are letters of S, F, R, P, U and . (or A, for ACK)");
    flags |= bit;
  }
  return flags;
}
