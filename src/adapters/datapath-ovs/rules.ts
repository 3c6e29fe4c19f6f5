import { type FlowEntry, tunnelTagGrowth } from "#core/datapath";
import { type FlowAction, type FlowMask, type FlowMatch, FRAGMENT, UNTAGGED } from "#core/flows";
import { maskForActions, reachesHiddenTags } from "#protocols/openflow";

/** What is the same for entries that do the same with packets of one kind: there are few of these and many entries. */
export interface Rule {
  /** On the wire: it may compare more than the agent asked for, see `maskForActions`. */
  readonly mask: FlowMask;
  readonly actions: readonly FlowAction[];
  readonly idleTimeoutMs: number;
  readonly hardTimeoutMs: number;
  /** VLAN tags that copies for the tunnel have more than the frame that came; null: none goes there. */
  readonly tagGrowth: number | null;
  /** Never in the switch: its packets come up and are served from here. */
  readonly served: boolean;
}

/** Of the agent's lists of actions, those whose rules are kept. */
const MAX_LISTS = 4_096;

/** A rule, and what it was made for. */
interface Made {
  readonly rule: Rule;
  readonly asked: FlowMask;
  readonly tunnelPort: number;
  readonly kind: number;
}

/** Makes each rule once: the agent has one list of actions for many entries. */
export class Rules {
  private readonly byActions = new Map<readonly FlowAction[], Made[]>();

  /** @param userspace the switch forwards in its daemon, not in the kernel. */
  of(entry: FlowEntry, tunnelPort: number, userspace: boolean): Rule {
    const { match, mask, actions, idleTimeoutMs, hardTimeoutMs } = entry;
    const kind = kindOf(match, userspace);
    let made = this.byActions.get(actions);
    if (made === undefined) {
      if (this.byActions.size >= MAX_LISTS) this.byActions.clear();
      this.byActions.set(actions, (made = []));
    }
    for (let i = 0; i < made.length; i++) {
      const one = made[i] as Made;
      if (one.kind !== kind || one.asked !== mask || one.tunnelPort !== tunnelPort) continue;
      const { rule } = one;
      if (rule.idleTimeoutMs === idleTimeoutMs && rule.hardTimeoutMs === hardTimeoutMs) return rule;
    }
    const tagGrowth = tunnelTagGrowth(actions, tunnelPort);
    const rule: Rule = {
      mask: maskForActions(match, mask, actions, tagGrowth !== null),
      actions,
      idleTimeoutMs,
      hardTimeoutMs,
      tagGrowth,
      served: reachesHiddenTags(match, actions) || (userspace && breaksFragments(match, actions)),
    };
    if (made.length >= MAX_LISTS) made.length = 0;
    made.push({ rule, asked: mask, tunnelPort, kind });
    return rule;
  }
}

/** All of a match that a rule depends on, beside the mask. */
const kindOf = (m: FlowMatch, userspace: boolean): number =>
  m.etherType * 8 + (m.vlan === UNTAGGED ? 4 : 0) + (m.fragment === FRAGMENT.LATER ? 2 : 0) + (userspace ? 1 : 0);

/**
 * Open vSwitch 3.1 in userspace takes the payload of a later fragment for a UDP or TCP header, and "corrects" a checksum
 * there, when an address is rewritten. (The wire mask of a rewrite tells fragments apart.)
 */
function breaksFragments(match: FlowMatch, actions: readonly FlowAction[]): boolean {
  if (match.fragment !== FRAGMENT.LATER) return false;
  return actions.some((a) => a.kind === "set-ipv4" && (a.src !== null || a.dst !== null));
}
