/** Hosts, tunnel zones, groups and chains of a topology document. */
import type { ChainId, HostId, IpAddrGroupId, PortGroupId, RuleId, TenantId, TunnelZoneId } from "#core/base";
import type {
  ChainSpec,
  RuleRecord,
  RuleSpec,
  TopologyDocument,
  TopologyRecords,
  TunnelZoneSpec,
} from "#core/topology";
import type { Names } from "./apply-names.ts";
import { differences, type ReportBuilder } from "./apply-report.ts";
import { createChain, type RuleInput } from "./chains.ts";
import { addRules, eraseRule, putRuleList, ruleIds, rulesOf } from "./filters.ts";
import * as groups from "./groups.ts";
import * as hosts from "./hosts.ts";
import { RULE } from "./kinds.ts";
import { type Ctx, conflict, invalid } from "./objects.ts";

export interface Job {
  readonly c: Ctx;
  /** Before the apply. */
  readonly records: TopologyRecords;
  readonly names: Names;
  readonly report: ReportBuilder;
}

export async function applyHosts(job: Job, doc: TopologyDocument): Promise<void> {
  const { c, names, report, records } = job;
  for (const spec of doc.hosts) {
    const named = names.find("host", "", spec.name);
    if (named !== null && spec.id !== undefined && spec.id !== named)
      throw conflict(`host ${spec.name} exists with the id ${named}, not ${spec.id}`);
    const before = records.hosts.find((h) => h.id === (named ?? spec.id));
    if (before === undefined) {
      const host = await hosts.createHost(c, { id: spec.id as HostId | undefined, name: spec.name });
      names.add("host", "", spec.name, host.id);
      report.created("host", spec.name, host.id);
      continue;
    }
    const changes = differences(before, { name: spec.name });
    if (changes.length > 0) {
      await hosts.updateHost(c, before.id, { name: spec.name });
      names.add("host", "", spec.name, before.id);
    }
    report.changed("host", spec.name, before.id, changes);
  }
  for (const [i, spec] of doc.tunnelZones.entries()) await applyZone(job, spec, `tunnelZones[${i}]`);
}

async function applyZone({ c, names, report, records }: Job, spec: TunnelZoneSpec, at: string): Promise<void> {
  let id = names.find("tunnelZone", "", spec.name) as TunnelZoneId | null;
  if (id === null) {
    ({ id } = await hosts.createZone(c, { name: spec.name, type: spec.type }));
    names.add("tunnelZone", "", spec.name, id);
    report.created("tunnelZone", spec.name, id);
  } else {
    const before = records.tunnelZones.find((z) => z.id === id);
    const changes = before === undefined ? [] : differences(before, { type: spec.type });
    if (changes.length > 0) await hosts.updateZone(c, id, { type: spec.type });
    report.changed("tunnelZone", spec.name, id, changes);
  }
  for (const [name, ipAddress] of Object.entries(spec.hosts)) {
    const hostId = names.need("host", "", name, `${at}.hosts.${name}`) as HostId;
    const member = { tunnelZoneId: id, hostId, ipAddress };
    const before = records.tunnelZoneMembers.find((m) => m.tunnelZoneId === id && m.hostId === hostId);
    if (before?.ipAddress === ipAddress) continue;
    if (before === undefined) await hosts.addMember(c, member);
    else await hosts.updateMember(c, member);
    report.changed("tunnelZone", spec.name, id, [`hosts.${name}`]);
  }
}

/** Groups and chains; not yet what is in chains and port groups, which may refer to ports. */
export async function applyGroups(job: Job, doc: TopologyDocument): Promise<void> {
  const { c, names, report, records } = job;
  for (const spec of doc.ipAddrGroups) {
    let id = names.find("ipAddrGroup", "", spec.name) as IpAddrGroupId | null;
    if (id === null) {
      ({ id } = await groups.createIpAddrGroup(c, { name: spec.name }));
      names.add("ipAddrGroup", "", spec.name, id);
      report.created("ipAddrGroup", spec.name, id);
    }
    const present = new Set(records.ipAddrGroupAddrs.get(id));
    const missing = new Set(spec.addresses.map(groups.canonicalAddress).filter((a) => !present.has(a)));
    for (const address of missing) await groups.addAddress(c, id, address);
    report.changed("ipAddrGroup", spec.name, id, missing.size > 0 ? ["addresses"] : []);
  }
  for (const spec of doc.portGroups) {
    const id = names.find("portGroup", spec.tenant, spec.name) as PortGroupId | null;
    if (id === null) {
      const { name, stateful } = spec;
      const group = await groups.createPortGroup(c, { name, stateful, tenantId: spec.tenant as TenantId });
      names.add("portGroup", spec.tenant, spec.name, group.id);
      report.created("portGroup", spec.name, group.id);
      continue;
    }
    const before = records.portGroups.find((g) => g.id === id);
    const changes = before === undefined ? [] : differences(before, { stateful: spec.stateful });
    if (changes.length > 0) await groups.updatePortGroup(c, id, { stateful: spec.stateful });
    report.changed("portGroup", spec.name, id, changes);
  }
  for (const spec of doc.chains) {
    if (names.find("chain", spec.tenant, spec.name) !== null) continue;
    const chain = await createChain(c, { name: spec.name, tenantId: spec.tenant as TenantId });
    names.add("chain", spec.tenant, spec.name, chain.id);
    report.created("chain", spec.name, chain.id);
  }
}

export async function applyPortGroupMembers({ c, names, report, records }: Job, doc: TopologyDocument): Promise<void> {
  for (const [i, spec] of doc.portGroups.entries()) {
    const id = names.find("portGroup", spec.tenant, spec.name) as PortGroupId;
    const wanted = new Set(spec.ports.map((ref, j) => names.port(spec.tenant, ref, `portGroups[${i}].ports[${j}]`)));
    const present = new Set(records.portGroupMembers.get(id));
    const missing = [...wanted].filter((p) => !present.has(p));
    for (const port of missing) await groups.addPort(c, id, port);
    report.changed("portGroup", spec.name, id, missing.length > 0 ? ["ports"] : []);
  }
}

export async function applyChainRules(job: Job, doc: TopologyDocument): Promise<void> {
  for (const [i, spec] of doc.chains.entries()) {
    const id = job.names.find("chain", spec.tenant, spec.name) as ChainId;
    const wanted = spec.rules.map((rule, j) => ruleOf(job, spec, rule, `chains[${i}].rules[${j}]`));
    const changed = await replaceRules(job, id, wanted);
    job.report.changed("chain", spec.name, id, changed ? ["rules"] : []);
  }
}

function ruleOf({ names }: Job, chain: ChainSpec, rule: RuleSpec, at: string): RuleInput {
  const common = { condition: names.condition(rule.condition, chain.tenant), meterName: null };
  if (rule.type !== "jump") return { type: rule.type, ...common };
  if (rule.jump === undefined) throw invalid("topology document", `${at}.jump`, "a jump needs the name of a chain");
  return {
    type: "jump",
    ...common,
    jumpChainId: names.need("chain", chain.tenant, rule.jump, `${at}.jump`) as ChainId,
  };
}

/** What a rule does, without what it is called: equal texts are equal rules. */
const meaning = (rule: RuleInput): string =>
  JSON.stringify({ ...RULE.read({ ...rule, chainId: "" }, ""), id: "", chainId: "" }, (_, v: unknown) =>
    typeof v === "bigint" ? `${v}` : v,
  );

/** Rules that stay keep their ids. @returns whether anything changed. */
async function replaceRules({ c, records }: Job, chain: ChainId, wanted: readonly RuleInput[]): Promise<boolean> {
  const byId = new Map(records.rules.map((r) => [r.id, r]));
  const known = (records.ruleOrder.get(chain) ?? []).flatMap((id) => byId.get(id) ?? []);
  const goal = wanted.map((rule) => meaning({ ...rule, id: "" as RuleId }));
  const now = known.filter((r) => r.type !== "trace").map(meaning);
  if (goal.length === now.length && goal.every((m, i) => m === now[i])) return false;

  const current = await rulesOf(c, chain);
  const spare = current.filter((r) => r.type !== "trace");
  const order: RuleId[] = current.filter((r) => r.type === "trace").map((r) => r.id);
  const fresh: RuleRecord[] = [];
  for (const [i, rule] of wanted.entries()) {
    const at = spare.findIndex((r) => meaning(r) === goal[i]);
    const [kept] = at < 0 ? [] : spare.splice(at, 1);
    const id = kept?.id ?? (c.random.uuid() as RuleId);
    if (kept === undefined) fresh.push({ ...rule, id, chainId: chain });
    order.push(id);
  }
  for (const rule of spare) await eraseRule(c, rule);
  await addRules(c, chain, fresh, (await ruleIds(c, chain)).length);
  putRuleList(c, chain, order);
  return true;
}
