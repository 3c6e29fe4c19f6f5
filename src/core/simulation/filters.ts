import type { ChainId } from "#core/base";
import { chainTag } from "#core/flows";
import {
  type CompiledChain,
  type CompiledRule,
  evaluate,
  type PortDevice,
  type BridgeDevice,
  type RouterDevice,
} from "#core/topology";
import type { FilterStage } from "#core/tracing";
import type { PacketContext } from "./context.ts";
import { conditionText, deviceRef, explainMismatch } from "./explain.ts";

export type FilterResult = "accept" | "drop" | "reject" | "halt" | "too-deep";

type FilteringDevice = PortDevice | BridgeDevice | RouterDevice;

/** What a chain leaves behind: CONTINUE and RETURN are the same to a top-level caller (accept). */
type ChainResult = FilterResult | "continue" | "return";

/** MidoNet refuses deeper nesting of jumps than this. */
const MAX_JUMP_DEPTH = 10;

/**
 * Evaluates a device's filter (midonet-semantics 2.2). "halt": a chain or address group has to be loaded first
 * (`ctx.wait` says which). A device without filter never comes here.
 */
export function runFilter(
  ctx: PacketContext,
  chainId: ChainId,
  stage: FilterStage,
  device: FilteringDevice,
): FilterResult {
  const chain = ctx.view.chain(chainId);
  if (chain === undefined) {
    ctx.wait = { for: "topology", kind: "chain", id: chainId };
    return "halt";
  }
  if (chain === null) {
    ctx.tags.push(chainTag(chainId));
    ctx.recorder?.push({
      kind: "filter-skipped",
      device: deviceRef(device),
      owner: device.tenantId,
      stage,
      chainId,
      because: "the chain does not exist",
    });
    return "accept";
  }
  if (ctx.recorder !== null) {
    ctx.recorder.push({
      kind: "chain-start",
      device: deviceRef(device),
      owner: device.tenantId,
      stage,
      chainId,
      chainOwner: chain.tenantId,
      chainName: chain.name,
      ruleCount: chain.rules.length,
    });
  }
  if (ctx.visitedChains.length > 0) ctx.visitedChains.length = 0;
  ctx.decidedBy = "";
  ctx.deciderOwner = "";
  const result = runChain(ctx, device, chain, 0);
  if (result === "halt") return result;
  const final: FilterResult = result === "continue" || result === "return" ? "accept" : result;
  if (ctx.recorder !== null && final !== "too-deep") {
    ctx.recorder.push({
      kind: "chain-end",
      device: deviceRef(device),
      owner: device.tenantId,
      stage,
      chainId,
      chainOwner: chain.tenantId,
      chainName: chain.name,
      result: final,
      decidedBy: ctx.decidedBy || (result === "return" ? "a return at top level" : "the end of the chain"),
      ...(ctx.decidedBy === "" ? {} : { deciderOwner: ctx.deciderOwner }),
    });
  }
  return final;
}

function runChain(ctx: PacketContext, device: FilteringDevice, chain: CompiledChain, depth: number): ChainResult {
  ctx.tags.push(chain.tag);
  const rules = chain.rules;
  for (let i = 0; i < rules.length; i++) {
    const rule = rules[i] as CompiledRule;
    const matched = evaluate(rule.condition, ctx);
    if (ctx.missingGroup !== "") {
      ctx.waitForGroup();
      return "halt";
    }
    if (ctx.recorder !== null) recordRule(ctx, device, chain, rule, matched);
    if (!matched) continue;
    if (rule.meterTag !== null) ctx.tags.push(rule.meterTag);
    const result = apply(ctx, device, chain, rule, depth);
    if (result !== "continue") return result;
  }
  return "continue";
}

function apply(
  ctx: PacketContext,
  device: FilteringDevice,
  chain: CompiledChain,
  rule: CompiledRule,
  depth: number,
): ChainResult {
  switch (rule.action) {
    case "accept":
    case "drop":
    case "reject":
      if (ctx.recorder !== null) {
        ctx.decidedBy = `rule ${rule.position} of chain ${chain.name}`;
        ctx.deciderOwner = chain.tenantId;
      }
      return rule.action;
    case "return":
      return "return";
    case "jump":
      return jump(ctx, device, chain, rule, depth);
    case "nat":
      problem(
        ctx,
        device,
        chain,
        rule,
        "NAT rules need connection tracking, which this version does not have: passed over",
      );
      return "continue";
    case "l2-transform":
      problem(ctx, device, chain, rule, "rules of this type are kept for clients, and not carried out: passed over");
      return "continue";
  }
}

function jump(
  ctx: PacketContext,
  device: FilteringDevice,
  chain: CompiledChain,
  rule: CompiledRule,
  depth: number,
): ChainResult {
  const targetId = rule.jumpTo;
  if (targetId === null) return "continue";
  const visited = ctx.visitedChains;
  if (visited.length === 0) visited.push(chain.id);
  if (visited.includes(targetId)) {
    problem(ctx, device, chain, rule, "the target chain was visited already: passed over");
    return "continue";
  }
  if (depth >= MAX_JUMP_DEPTH) {
    problem(ctx, device, chain, rule, `more than ${MAX_JUMP_DEPTH} nested jumps`);
    return "too-deep";
  }
  const target = ctx.view.chain(targetId);
  if (target === undefined) {
    ctx.wait = { for: "topology", kind: "chain", id: targetId };
    return "halt";
  }
  if (target === null) {
    // The target may appear later: then this flow must go.
    ctx.tags.push(chainTag(targetId));
    problem(ctx, device, chain, rule, "the target chain does not exist: passed over");
    return "continue";
  }
  visited.push(targetId);
  // Said of an empty chain too: whether a chain has rules is its owner's to know, who sees more than that it was entered.
  ctx.recorder?.push({
    kind: "chain-jump",
    ...inChain(device, target),
    chainName: target.name,
    ruleCount: target.rules.length,
  });
  const result = runChain(ctx, device, target, depth + 1);
  if (result !== "continue" && result !== "return") return result;
  ctx.recorder?.push({
    kind: "chain-return",
    ...inChain(device, chain),
    chainName: chain.name,
    position: rule.position,
  });
  return "continue";
}

/** The place of a step in a chain. */
const inChain = (device: FilteringDevice, chain: CompiledChain) => ({
  device: deviceRef(device),
  owner: device.tenantId,
  chainId: chain.id,
  chainOwner: chain.tenantId,
});

function recordRule(
  ctx: PacketContext,
  device: FilteringDevice,
  chain: CompiledChain,
  rule: CompiledRule,
  matched: boolean,
): void {
  const base = {
    kind: "rule" as const,
    ...inChain(device, chain),
    chainName: chain.name,
    ruleId: rule.id,
    position: rule.position,
    ruleType: rule.type,
    matched,
    condition: conditionText(rule.condition),
  };
  ctx.recorder?.push(matched ? base : { ...base, ...explainMismatch(rule.condition, ctx) });
}

function problem(
  ctx: PacketContext,
  device: FilteringDevice,
  chain: CompiledChain,
  rule: CompiledRule,
  text: string,
): void {
  ctx.recorder?.push({
    kind: "rule-problem",
    ...inChain(device, chain),
    ruleId: rule.id,
    problem: text,
  });
}
