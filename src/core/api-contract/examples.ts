/**
 * One exchange of each operation, in the order of a session that makes a network, traces in it, and takes it apart: what the
 * reference shows, with the answers that a server gives when a test replays it.
 */
import type { OperationId } from "./routes.ts";

export interface Example {
  /** On the server, with its query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

/** Ids that can be told apart at a glance: the digit is repeated. */
const id = (digit: string): string =>
  `${digit.repeat(8)}-${digit.repeat(4)}-4${digit.repeat(3)}-8${digit.repeat(3)}-${digit.repeat(12)}`;

const BRIDGE = id("b");
const ROUTER = id("c");
const PORT = id("1");
const DOWNLINK = id("3");
const CHAIN = id("d");
const RULE = id("e");
const ROUTE = id("7");
const HOST = id("a");
const ZONE = id("4");
const GROUP = id("5");
const ADDRESSES = id("6");
const TRACE = id("f");
const FLOW = id("8");
const MAC = "02-00-00-00-00-0a";

const API = "/midonet-api";
const bridge = `${API}/bridges/${BRIDGE}`;
const router = `${API}/routers/${ROUTER}`;
const host = `${API}/hosts/${HOST}`;
const zone = `${API}/tunnel_zones/${ZONE}`;
const group = `${API}/port_groups/${GROUP}`;
const addresses = `${API}/ip_addr_groups/${ADDRESSES}`;
const trace = `${API}/traces/${TRACE}`;
const flow = `${trace}/flows/${FLOW}`;
const BASIC = { authorization: "Basic dXNlcjpwYXNzd29yZA==" };

const SEGMENT = {
  segmentId: "host-1 1 1",
  flowTraceId: FLOW,
  requestIds: [TRACE],
  hostId: HOST,
  hostName: "host-1",
  role: "ingress",
  cookie: 17,
  startedAtMs: 1_767_225_600_000,
  key: {
    ethSrc: "02:00:00:00:00:0a",
    ethDst: "02:00:00:00:00:01",
    etherType: 2048,
    networkSrc: "10.0.1.10",
    networkDst: "10.0.2.20",
    networkProto: 6,
    srcPort: 40_000,
    dstPort: 80,
  },
  steps: [
    {
      kind: "port-in",
      seq: 1,
      atMs: 1_767_225_600_000,
      owner: "red",
      device: { type: "port", id: PORT, name: "" },
      of: { type: "bridge", id: BRIDGE, name: "net-a" },
      header: {
        ethSrc: "02:00:00:00:00:0a",
        ethDst: "02:00:00:00:00:01",
        etherType: "0x0800",
        nwSrc: "10.0.1.10",
        nwDst: "10.0.2.20",
        nwProto: 6,
        nwTos: 0,
        nwTtl: 64,
        tpSrc: 40_000,
        tpDst: 80,
      },
    },
    {
      kind: "verdict",
      seq: 2,
      atMs: 1_767_225_600_000,
      owner: "",
      device: { type: "host", id: HOST, name: "host-1" },
      verdict: "dropped",
      dropReason: "filter-drop",
    },
  ],
  stepsLost: 0,
  verdict: "dropped",
  dropReason: "filter-drop",
  expects: [],
  arrival: null,
  packet: { originalLength: 4, bytes: "AAECAw==" },
};

/** The keys are in the order of the session. An operation without an example fails a test. */
export const EXAMPLES: Readonly<Partial<Record<OperationId, Example>>> = {
  login: { path: `${API}/login`, headers: BASIC },
  loginByGet: { path: `${API}/login`, headers: BASIC },
  loginByPut: { path: `${API}/login`, headers: BASIC },
  loginByDelete: { path: `${API}/login`, headers: BASIC },
  whoami: { path: `${API}/whoami` },
  getApplication: { path: API },
  getSystemState: { path: `${API}/system_state` },
  updateSystemState: { path: `${API}/system_state`, body: { state: "ACTIVE", availability: "READWRITE" } },
  updateWriteVersion: { path: `${API}/write_version`, body: { version: "v5.0" } },
  getWriteVersion: { path: `${API}/write_version` },

  createHost: { path: `${API}/hosts`, body: { id: HOST, name: "host-1" } },
  updateHost: { path: host, body: { floodingProxyWeight: 3 } },
  listHosts: { path: `${API}/hosts` },
  getHost: { path: host },
  listHostVersions: { path: `${API}/versions` },
  listInterfaces: { path: `${host}/interfaces` },
  getInterface: { path: `${host}/interfaces/tap0` },
  createTunnelZone: { path: `${API}/tunnel_zones`, body: { id: ZONE, name: "tz", type: "vxlan" } },
  updateTunnelZone: { path: zone, body: { name: "tz0", type: "vxlan" } },
  listTunnelZones: { path: `${API}/tunnel_zones` },
  getTunnelZone: { path: zone },
  createZoneMember: { path: `${zone}/hosts`, body: { hostId: HOST, ipAddress: "192.0.2.11" } },
  listZoneMembers: { path: `${zone}/hosts` },
  getZoneMember: { path: `${zone}/hosts/${HOST}` },

  createChain: { path: `${API}/chains`, body: { id: CHAIN, tenantId: "red", name: "pre-filter" } },
  listChains: { path: `${API}/chains?tenant_id=red` },
  getChain: { path: `${API}/chains/${CHAIN}` },
  createRule: {
    path: `${API}/chains/${CHAIN}/rules`,
    body: { id: RULE, type: "drop", nwProto: 6, tpDst: { start: 23, end: 23 } },
  },
  listRules: { path: `${API}/chains/${CHAIN}/rules` },
  getRule: { path: `${API}/rules/${RULE}` },

  createBridge: { path: `${API}/bridges`, body: { id: BRIDGE, tenantId: "red", name: "net-a" } },
  updateBridge: { path: bridge, body: { tenantId: "red", name: "net-a", inboundFilterId: CHAIN } },
  listBridges: { path: `${API}/bridges?tenant_id=red&limit=1` },
  getBridge: { path: bridge },
  createBridgePort: { path: `${bridge}/ports`, body: { id: PORT, type: "Bridge" } },
  createRouter: { path: `${API}/routers`, body: { id: ROUTER, tenantId: "red", name: "rtr" } },
  updateRouter: { path: router, body: { tenantId: "red", name: "rtr", asNumber: 64_512 } },
  listRouters: { path: `${API}/routers` },
  getRouter: { path: router },
  createRouterPort: {
    path: `${router}/ports`,
    body: { id: DOWNLINK, type: "Router", portSubnet: ["10.0.1.1/24"], portMac: "02:00:00:00:00:01" },
  },
  getPort: { path: `${API}/ports/${PORT}` },
  updatePort: { path: `${API}/ports/${PORT}`, body: { type: "Bridge", adminStateUp: true } },
  linkPort: { path: `${API}/ports/${DOWNLINK}/link`, body: { peerId: PORT } },
  listBridgePorts: { path: `${bridge}/ports` },
  listBridgePeerPorts: { path: `${bridge}/peer_ports` },
  listRouterPorts: { path: `${router}/ports` },
  listRouterPeerPorts: { path: `${router}/peer_ports` },
  listPorts: { path: `${API}/ports?limit=1` },
  createRoute: {
    path: `${router}/routes`,
    body: {
      id: ROUTE,
      type: "Normal",
      srcNetworkAddr: "0.0.0.0",
      srcNetworkLength: 0,
      dstNetworkAddr: "10.0.1.0",
      dstNetworkLength: 24,
      nextHopPort: DOWNLINK,
      weight: 100,
    },
  },
  listRoutes: { path: `${router}/routes?limit=1` },
  getRoute: { path: `${API}/routes/${ROUTE}` },
  unlinkPort: { path: `${API}/ports/${PORT}/link` },
  createBinding: { path: `${host}/ports`, body: { portId: PORT, interfaceName: "tap0" } },
  listBindings: { path: `${host}/ports` },
  getBinding: { path: `${host}/ports/${PORT}` },

  createPortGroup: { path: `${API}/port_groups`, body: { id: GROUP, tenantId: "red", name: "web-ports" } },
  updatePortGroup: { path: group, body: { tenantId: "red", name: "web", stateful: true } },
  listPortGroups: { path: `${API}/port_groups` },
  getPortGroup: { path: group },
  createPortGroupPort: { path: `${group}/ports`, body: { portId: PORT } },
  listPortGroupPorts: { path: `${group}/ports` },
  getPortGroupPort: { path: `${group}/ports/${PORT}` },
  listGroupsOfPort: { path: `${API}/ports/${PORT}/port_groups` },
  createIpAddrGroup: { path: `${API}/ip_addr_groups`, body: { id: ADDRESSES, name: "blocked" } },
  listIpAddrGroups: { path: `${API}/ip_addr_groups` },
  getIpAddrGroup: { path: addresses },
  createIpAddr: { path: `${addresses}/ip_addrs`, body: { version: 4, addr: "192.0.2.7" } },
  listIpAddrs: { path: `${addresses}/ip_addrs` },
  getIpAddr: { path: `${addresses}/versions/4/ip_addrs/192.0.2.7` },

  createMac: { path: `${bridge}/mac_table`, body: { macAddr: "02:00:00:00:00:0a", portId: PORT } },
  listMacs: { path: `${bridge}/mac_table` },
  getMac: { path: `${bridge}/mac_table/${MAC}_${PORT}` },
  createVlanMac: { path: `${bridge}/vlans/7/mac_table`, body: { macAddr: "02:00:00:00:00:0a", portId: PORT } },
  listVlanMacs: { path: `${bridge}/vlans/7/mac_table` },
  getVlanMac: { path: `${bridge}/vlans/7/mac_table/${MAC}_${PORT}` },
  createArp: { path: `${bridge}/arp_table`, body: { ip: "10.0.1.10", mac: "02:00:00:00:00:0a" } },
  listArp: { path: `${bridge}/arp_table` },
  getArp: { path: `${bridge}/arp_table/10.0.1.10_${MAC}` },
  listVxlanPorts: { path: `${bridge}/vxlan_ports` },
  listDhcpSubnets: { path: `${bridge}/dhcp` },
  listDhcpSubnets6: { path: `${bridge}/dhcpV6` },
  listBgpNetworks: { path: `${router}/bgp_networks` },
  listBgpPeers: { path: `${router}/bgp_peers` },
  listPeerings: { path: `${router}/ports/${DOWNLINK}/peering_table` },
  listTenants: { path: `${API}/tenants` },
  getTenant: { path: `${API}/tenants/red` },

  createTrace: {
    path: `${API}/traces`,
    body: {
      id: TRACE,
      name: "web",
      deviceType: "PORT",
      deviceId: PORT,
      condition: "tcp and dst port 80",
      creationTimestampMs: 1_767_225_600_000,
      limit: "10",
    },
  },
  updateTrace: { path: trace, body: { enabled: true } },
  getTrace: { path: trace },
  listTraces: { path: `${API}/traces?device_id=${PORT}&enabled=true` },
  listTraceDevices: { path: `${API}/trace_devices` },
  listAgents: { path: `${API}/agents` },
  simulate: { path: `${API}/simulations`, body: { port: PORT, packet: "tcp 10.0.1.10:40000 > 10.0.2.20:80" } },
  deliverSegments: {
    path: `${API}/trace-segments`,
    body: { hostId: HOST, bootId: "1", sequence: 1, segments: [SEGMENT], lost: [] },
  },
  traceSummaries: { path: `${API}/trace_summaries` },
  listFlows: { path: `${trace}/flows?limit=1` },
  listPaths: { path: `${trace}/paths` },
  getFlow: { path: flow },
  pinFlow: { path: `${flow}/pin` },
  unpinFlow: { path: `${flow}/pin` },
  flowPackets: { path: `${flow}/packet.pcapng` },
  tracePackets: { path: `${trace}/packets.pcapng` },
  traceEvents: { path: `${trace}/events` },

  deleteTrace: { path: trace },
  deleteArp: { path: `${bridge}/arp_table/10.0.1.10_${MAC}` },
  deleteMac: { path: `${bridge}/mac_table/${MAC}_${PORT}` },
  deleteVlanMac: { path: `${bridge}/vlans/7/mac_table/${MAC}_${PORT}` },
  deleteIpAddr: { path: `${addresses}/versions/4/ip_addrs/192.0.2.7` },
  deleteIpAddrGroup: { path: addresses },
  deletePortGroupPort: { path: `${group}/ports/${PORT}` },
  deletePortGroup: { path: group },
  deleteBinding: { path: `${host}/ports/${PORT}` },
  deleteRoute: { path: `${API}/routes/${ROUTE}` },
  deletePort: { path: `${API}/ports/${DOWNLINK}` },
  deleteRouter: { path: router },
  deleteBridge: { path: bridge },
  deleteRule: { path: `${API}/rules/${RULE}` },
  deleteChain: { path: `${API}/chains/${CHAIN}` },
  deleteZoneMember: { path: `${zone}/hosts/${HOST}` },
  deleteTunnelZone: { path: zone },
  deleteHost: { path: host },

  applyTopology: {
    path: `${API}/topology`,
    body: { bridges: [{ name: "net-b", tenant: "red", ports: [{ name: "vm" }] }] },
  },
  getTopology: { path: `${API}/topology` },
  getOpenApi: { path: `${API}/openapi.json` },
  getDocs: { path: `${API}/docs` },
  getHealth: { path: "/healthz" },
  getReadiness: { path: "/readyz" },
  getMetrics: { path: "/metrics" },
  getHome: { path: "/" },
};

/** Its tap0 is up in the examples: what its agent says. */
export const EXAMPLE_HOST = HOST;
