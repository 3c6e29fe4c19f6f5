import { completeMask, F, type FlowMask, type FlowMatch } from "#core/flows";
import type { PacketContext } from "#core/simulation";

/** Of the flow that a simulated packet gets. */
export const maskOf = (ctx: PacketContext): FlowMask =>
  completeMask(ctx.original, ctx.seen, ctx.nwSrcBits, ctx.nwDstBits);

export const fieldsOf = (m: FlowMatch): Record<string, unknown> => Object.fromEntries(Object.entries(m));

/** Outputs as the flow of `p` would make them of the packet `q`. */
export function asFlowWould(p: PacketContext, q: FlowMatch): unknown[] {
  return p.outputs.map((o) => {
    const header: Record<string, unknown> = fieldsOf(q);
    for (const [name, value] of Object.entries(o.header) as [keyof FlowMatch, unknown][])
      if (value !== p.original[name] || isRewritten(name, o.rewritten)) header[name] = value;
    return { port: o.port.id, header };
  });
}

const REWRITABLE: Partial<Record<string, number>> = { ethSrc: F.EthSrc, ethDst: F.EthDst };
const isRewritten = (name: string, fields: number): boolean => ((REWRITABLE[name] ?? 0) & fields) !== 0;
