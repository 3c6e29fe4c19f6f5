import { type PortId, Violations } from "#core/base";
import { formatIpv4, formatMac, parseIpv4, parseMac } from "#core/packets";
import * as z from "zod";
import { answerOf, bodyOf, ro, rw } from "./fields.ts";
import type { Links } from "./links.ts";

/** MidoNet's MACs have two digits a group here, and dashes in paths. */
const dashed = (mac: string): string => mac.replaceAll(":", "-");

/** midonet-rest 6.14: a row of a bridge's MAC table. */
export const macPortFields = {
  macAddr: rw.text(null),
  portId: rw.uuidOrNull,
  vlanId: rw.intOrNull,
  uri: ro.uri,
} as const;
export const macPortBody = bodyOf(macPortFields);
/** The first version knows no VLANs: without `vlanId`. */
export const macPortAnswer = z.union([
  answerOf(macPortFields),
  answerOf({ macAddr: macPortFields.macAddr, portId: macPortFields.portId, uri: ro.uri }),
]);
export type MacPortDto = z.output<typeof macPortAnswer>;

export interface MacRow {
  /** "aa:bb:cc:dd:ee:ff" */
  readonly mac: string;
  readonly portId: PortId;
  /** 0: untagged. */
  readonly vlan: number;
}

/** Where the table of a VLAN stands (0: of untagged frames). */
function tableUri(bridge: string, vlan: number, links: Links): string {
  const uri = links.to("bridges", bridge);
  return vlan === 0 ? `${uri}/mac_table` : `${uri}/vlans/${vlan}/mac_table`;
}

export function macPortUri(bridge: string, row: MacRow, links: Links): string {
  return `${tableUri(bridge, row.vlan, links)}/${dashed(row.mac)}_${row.portId}`;
}

/** @param withVlan false for the first version of the media type. */
export function macPortToDto(bridge: string, row: MacRow, withVlan: boolean, links: Links): MacPortDto {
  const uri = macPortUri(bridge, row, links);
  const { mac: macAddr, portId } = row;
  return withVlan ? { macAddr, portId, vlanId: row.vlan, uri } : { macAddr, portId, uri };
}

/** @param vlan of the path. @throws MidotraceError VALIDATION, also for a body that says another VLAN. */
export function macPortFromBody(body: z.output<typeof macPortBody>, vlan: number): MacRow {
  const violations = new Violations();
  const mac = macOf(body.macAddr, "macAddr", violations);
  if (body.portId === null) violations.add("portId", "may not be null");
  if (body.vlanId !== null && body.vlanId !== vlan)
    violations.add("vlanId", `must be ${vlan}, as the path says, not ${body.vlanId}`);
  violations.throwIfAny("MAC table entry");
  return { mac, portId: (body.portId ?? "") as PortId, vlan };
}

/** The row that `{mac-with-dashes}_{portId}` names. @throws MidotraceError VALIDATION */
export function macPortFromPath(entry: string, vlan: number): MacRow {
  const [mac = "", portId = ""] = splitEntry(entry);
  const violations = new Violations();
  const row = { mac: macOf(mac.replaceAll("-", ":"), "macAddr", violations), portId: portId.toLowerCase(), vlan };
  violations.throwIfAny("the path");
  return { ...row, portId: row.portId as PortId };
}

/** midonet-rest 6.14: a row of a bridge's ARP table. */
export const arpFields = { ip: rw.text(null), mac: rw.text(null), uri: ro.uri } as const;
export const arpBody = bodyOf(arpFields);
export const arpAnswer = answerOf(arpFields);
export type ArpDto = z.output<typeof arpAnswer>;

export interface ArpRow {
  readonly ip: string;
  readonly mac: string;
}

export function arpToDto(bridge: string, { ip, mac }: ArpRow, links: Links): ArpDto {
  return { ip, mac, uri: links.to("bridges", bridge, "arp_table", `${ip}_${dashed(mac)}`) };
}

/** @throws MidotraceError VALIDATION */
export function arpFromBody(body: z.output<typeof arpBody>): ArpRow {
  return arpRow(body.ip, body.mac, "ARP table entry");
}

/** The row that `{ip}_{mac-with-dashes}` names. @throws MidotraceError VALIDATION */
export function arpFromPath(entry: string): ArpRow {
  const [ip = "", mac = ""] = splitEntry(entry);
  return arpRow(ip, mac.replaceAll("-", ":"), "the path");
}

function arpRow(ipText: string | null, macText: string | null, what: string): ArpRow {
  const violations = new Violations();
  const ip = ipText === null ? null : parseIpv4(ipText);
  if (ipText === null) violations.add("ip", "may not be null");
  else if (ip === null) violations.add("ip", `must be an IPv4 address such as 10.0.1.10, not ${ipText}`);
  const mac = macOf(macText, "mac", violations);
  violations.throwIfAny(what);
  return { ip: formatIpv4(ip ?? 0), mac };
}

/** Canonical. "" when something is wrong with it. */
function macOf(text: string | null, property: string, violations: Violations): string {
  if (text === null) {
    violations.add(property, "may not be null");
    return "";
  }
  const mac = parseMac(text);
  if (mac !== null) return formatMac(mac);
  violations.add(property, `must be a MAC address such as 02:00:00:00:00:01, not ${text}`);
  return "";
}

function splitEntry(entry: string): string[] {
  const at = entry.indexOf("_");
  return at < 0 ? [entry] : [entry.slice(0, at), entry.slice(at + 1)];
}
