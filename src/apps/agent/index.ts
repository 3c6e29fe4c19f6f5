export { Agent, type AgentOptions, type Log, type LogLevel } from "./agent.ts";
export { AGENT_METRICS, agentMetrics } from "./metrics.ts";
export { AGENT_METRIC_TABLES } from "./metric-tables.ts";
export { BUDGET_LIMITS, type BudgetLimits } from "./event-budget.ts";
export type { AgentCounters } from "./counters.ts";
export { LIFETIME } from "./flow-registry.ts";
export { agentCommand } from "./main.ts";
export { agentDoctorCommand } from "./doctor/main.ts";
