import { type Condition, describeCondition, normalizeCondition, type PortRange } from "#core/topology";

/**
 * What a trace request will match, in one sentence without a full stop.
 * @param where the device in words, "router red-router".
 */
export function conditionSentence(condition: Condition, where: string): string {
  const c = normalizeCondition(condition);
  const { condInvert, ...inside } = c;
  const what = `${nounOf(inside)}${qualities(inside)}`;
  if (condInvert === true) return `Every packet that enters ${where}, except ${what}`;
  return `${what === "packets" ? "Every packet that enters" : `${capital(what)} entering`} ${where}`;
}

const ICMP_TYPES: Readonly<Record<number, string>> = {
  0: "echo reply",
  3: "unreachable",
  8: "echo request",
  11: "time exceeded",
};

/** "TCP packets", "ARP messages". */
function nounOf(c: Condition): string {
  const not = c.invDlType === true || c.invNwProto === true;
  if (not) return "packets";
  if (c.dlType === 0x0806) return "ARP messages";
  const protocol = { 1: "ICMP", 6: "TCP", 17: "UDP", 58: "ICMPv6" }[c.nwProto ?? -1];
  if (protocol === "ICMP" && single(c.tpSrc) !== null) {
    const type = single(c.tpSrc) as number;
    return `ICMP ${ICMP_TYPES[type] ?? `type ${type}`} packets`;
  }
  if (protocol !== undefined) return `${protocol} packets`;
  if (c.nwProto !== undefined) return `packets of IP protocol ${c.nwProto}`;
  if (c.dlType === 0x0800) return "IPv4 packets";
  if (c.dlType === 0x86dd) return "IPv6 packets";
  return c.dlType === undefined ? "packets" : `frames of ethertype 0x${c.dlType.toString(16).padStart(4, "0")}`;
}

/** Everything beside the protocol, in the order in which people say it. */
function qualities(c: Condition): string {
  const { dlType, invDlType, nwProto, invNwProto, ...rest } = c;
  const icmpType = nwProto === 1 && invNwProto !== true && single(rest.tpSrc) !== null;
  const said: string[] = [];
  const left: Record<string, unknown> = { ...rest };
  const say = (text: string, ...fields: readonly (keyof Condition)[]): void => {
    said.push(text);
    for (const field of fields) delete left[field];
  };
  if (invDlType === true || invNwProto === true) {
    const denied: Record<string, unknown> = { dlType, invDlType, nwProto, invNwProto };
    for (const key of Object.keys(denied)) if (denied[key] === undefined) delete denied[key];
    said.push(` (${describeCondition(denied)})`);
  }
  if (icmpType) delete left["tpSrc"];
  if (c.dlSrc !== undefined && c.dlSrcMask === undefined)
    say(`${c.invDlSrc === true ? " not" : ""} from MAC ${c.dlSrc}`, "dlSrc", "invDlSrc");
  if (c.dlDst !== undefined && c.dlDstMask === undefined)
    say(`${c.invDlDst === true ? " not" : ""} to MAC ${c.dlDst}`, "dlDst", "invDlDst");
  const from = place(
    c.nwSrcAddress,
    c.nwSrcLength,
    c.invNwSrc === true,
    icmpType ? undefined : c.tpSrc,
    c.invTpSrc === true,
  );
  if (from !== "") say(` ${from.replace("@", "from")}`, "nwSrcAddress", "nwSrcLength", "invNwSrc", "tpSrc", "invTpSrc");
  const to = place(c.nwDstAddress, c.nwDstLength, c.invNwDst === true, c.tpDst, c.invTpDst === true);
  if (to !== "") say(` ${to.replace("@", "to")}`, "nwDstAddress", "nwDstLength", "invNwDst", "tpDst", "invTpDst");
  if (c.vlan !== undefined) say(` on VLAN ${c.vlan}`, "vlan");
  if (c.noVlan === true) say(" without a VLAN tag", "noVlan");
  if (c.inPorts !== undefined && c.invInPorts !== true)
    say(c.inPorts.length === 1 ? " by one chosen port" : ` by one of ${c.inPorts.length} ports`, "inPorts");
  if (Object.keys(left).length > 0) {
    const words = describeCondition(left);
    if (words !== "any") said.push(` where ${words}`);
  }
  return said.join("");
}

function place(
  address: string | undefined,
  length = 32,
  not: boolean,
  range: PortRange | undefined,
  notPort: boolean,
): string {
  const host =
    address === undefined ? "" : `${not ? "anywhere but " : ""}${address}${length === 32 ? "" : `/${length}`}`;
  if (range === undefined) return host === "" ? "" : `@ ${host}`;
  const one = single(range);
  const ports = one === null ? `ports ${range.start ?? 0} to ${range.end ?? 65_535}` : `port ${one}`;
  const port = notPort ? `any port but ${ports.replace(/^port /, "")}` : ports;
  return host === "" ? `@ ${port}` : `@ ${host} ${port}`;
}

const single = (range: PortRange | undefined): number | null =>
  range !== undefined && range.start !== null && range.start === range.end ? range.start : null;

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
