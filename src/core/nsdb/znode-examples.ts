/** One node for each row of `PATHS`, written by the codecs: what the reference page shows. */
import type {
  BridgeId,
  ChainId,
  HostId,
  IpAddrGroupId,
  PortGroupId,
  PortId,
  RouteId,
  RouterId,
  RuleId,
  TenantId,
  TraceRequestId,
  TunnelZoneId,
} from "#core/base";
import { readStaticMac } from "./bridge-tables.ts";
import { encode, type Reader } from "./codec.ts";
import { readCollector } from "./collectors.ts";
import { readArp, readInterface } from "./host-state.ts";
import { LAYOUT_VERSION, readIdentity, readImportMark } from "./identity.ts";
import {
  BRIDGE,
  CHAIN,
  HOST,
  IP_ADDR_GROUP,
  type Kind,
  PORT,
  PORT_GROUP,
  readMember,
  readRuleList,
  ROUTE,
  ROUTER,
  RULE,
  TRACE,
  TUNNEL_ZONE,
} from "./kinds.ts";
import { readMapping } from "./links.ts";
import { readSystemState } from "./system-state.ts";
import { readAuto } from "./trace-rules.ts";
import { readCounter, readOwner } from "./tunnel-keys.ts";

export interface ZnodeExample {
  readonly path: string;
  readonly data: string;
}

/** Ids that can be told apart at a glance: the digit is repeated. */
const id = <T extends string>(digit: string): T =>
  `${digit.repeat(8)}-${digit.repeat(4)}-4${digit.repeat(3)}-8${digit.repeat(3)}-${digit.repeat(12)}` as T;

const bridge = id<BridgeId>("b");
const router = id<RouterId>("c");
const port = id<PortId>("1");
const uplink = id<PortId>("2");
const chain = id<ChainId>("d");
const rule = id<RuleId>("e");
const route = id<RouteId>("3");
const host = id<HostId>("a");
const zone = id<TunnelZoneId>("4");
const group = id<PortGroupId>("5");
const addresses = id<IpAddrGroupId>("6");
const trace = id<TraceRequestId>("f");
const store = id<string>("0");
const collector = id<string>("7");
const tenantId = "tenant-red" as TenantId;
const MAC = "02:00:00:00:00:10";
const AT_MS = 1_767_225_600_000;
const filters = { adminStateUp: true, inboundFilterId: chain, outboundFilterId: null };

const node = <T>(path: string, read: Reader<T>, value: T): ZnodeExample => ({ path, data: encode(read, value, path) });
const record = <T extends { readonly id: string }>(kind: Kind<T>, value: T): ZnodeExample =>
  node(`${kind.directory}/${value.id}`, kind.read, value);
const empty = (path: string): ZnodeExample => ({ path, data: "" });

export const ZNODE_EXAMPLES: readonly ZnodeExample[] = [
  record(BRIDGE, { id: bridge, tenantId, name: "red-web", ...filters }),
  empty(`/bridges/${bridge}/ports/${port}`),
  empty(`/bridges/${bridge}/traces/${trace}`),
  empty(`/bridges/${bridge}/mac_ports/${MAC},${port}`),
  empty(`/bridges/${bridge}/vlans/42/mac_ports/${MAC},${port}`),
  node(`/bridges/${bridge}/static_macs/0,${MAC}`, readStaticMac, { portId: port }),
  empty(`/bridges/${bridge}/ip4_mac_map/10.0.1.10,${MAC}`),
  record(ROUTER, { id: router, tenantId, name: "red-router", ...filters, inboundFilterId: null }),
  empty(`/routers/${router}/ports/${uplink}`),
  empty(`/routers/${router}/routes/${route}`),
  empty(`/routers/${router}/traces/${trace}`),
  node(`/routers/${router}/arp_table/10.0.1.10`, readArp, {
    ip: "10.0.1.10",
    mac: MAC,
    lastArpMs: AT_MS,
    staleMs: AT_MS + 1_800_000,
    expiryMs: AT_MS + 3_600_000,
  }),
  record(PORT, {
    type: "Bridge",
    id: port,
    deviceId: bridge,
    name: "red-1",
    ...filters,
    inboundFilterId: null,
    tunnelKey: 1,
    hostId: host,
    interfaceName: "veth-red-1",
    peerId: null,
    vlanId: 0,
  }),
  empty(`/ports/${port}/active/${host}`),
  empty(`/ports/${uplink}/routes/${route}`),
  empty(`/ports/${port}/port_groups/${group}`),
  empty(`/ports/${port}/traces/${trace}`),
  record(CHAIN, { id: chain, tenantId, name: `TRACE_REQUEST_CHAIN_${trace}` }),
  node(`/chains/${chain}/rules`, readRuleList, { ruleList: [rule] }),
  empty(`/chains/${chain}/refs/bridge:${bridge}`),
  node(`/chains/${chain}/auto`, readAuto, { requestId: trace }),
  record(RULE, {
    type: "trace",
    id: rule,
    chainId: chain,
    condition: { nwProto: 6, tpDst: { start: 80, end: 80 } },
    meterName: null,
    requestId: trace,
    deviceId: bridge,
    limit: 10n,
  }),
  record(ROUTE, {
    id: route,
    routerId: router,
    type: "Normal",
    srcNetworkAddr: "0.0.0.0",
    srcNetworkLength: 0,
    dstNetworkAddr: "10.0.1.0",
    dstNetworkLength: 24,
    nextHopPort: uplink,
    nextHopGateway: null,
    weight: 100,
  }),
  record(PORT_GROUP, { id: group, tenantId, name: "red-web-ports", stateful: false }),
  empty(`/port_groups/${group}/ports/${port}`),
  record(IP_ADDR_GROUP, { id: addresses, name: "blocked" }),
  empty(`/ip_addr_groups/${addresses}/addrs/192.0.2.7`),
  record(HOST, { id: host, name: "host-1" }),
  empty(`/hosts/${host}/alive`),
  node(`/hosts/${host}/interfaces/veth-red-1`, readInterface, {
    name: "veth-red-1",
    mac: MAC,
    mtu: 1500,
    status: 3,
    type: "Virtual",
    endpoint: "DATAPATH",
    portType: "NetDev",
    addresses: [],
  }),
  node(`/hosts/${host}/vrnMappings/ports/${port}`, readMapping, { virtualPortId: port, localDeviceName: "veth-red-1" }),
  empty(`/hosts/${host}/tunnel_zones/${zone}`),
  record(TUNNEL_ZONE, { id: zone, name: "tz", type: "vxlan" as const }),
  node(`/tunnel_zones/${zone}/memberships/${host}`, readMember, {
    tunnelZoneId: zone,
    hostId: host,
    ipAddress: "192.0.2.1",
  }),
  node("/tunnel_keys", readCounter, { last: 1 }),
  node("/tunnel_keys/1", readOwner, { ownerId: port }),
  record(TRACE, {
    id: trace,
    name: "web",
    deviceType: "BRIDGE",
    deviceId: bridge,
    condition: { nwProto: 6, tpDst: { start: 80, end: 80 } },
    creationTimestampMs: AT_MS,
    limit: 10n,
    enabledRule: rule,
    enabledChain: chain,
  }),
  empty(`/tenants/${tenantId}/traces/${trace}`),
  node(`/collectors/${collector}`, readCollector, { url: "http://192.0.2.10:8181" }),
  empty("/locks/apply"),
  node("/system_state", readSystemState, { state: "ACTIVE", availability: "READWRITE", writeVersion: null }),
  node("/store", readIdentity, { id: store, version: LAYOUT_VERSION }),
  node("/import", readImportMark, { documentId: "5c1f…", storeId: store, startedAtMs: AT_MS }),
  empty("/import/running"),
];
