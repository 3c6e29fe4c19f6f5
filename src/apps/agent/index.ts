export { Agent, type AgentOptions, type Log, type LogLevel } from "./agent.ts";
export type { AgentCounters } from "./counters.ts";
export { LIFETIME } from "./flow-registry.ts";
export { agentCommand } from "./main.ts";
export { agentDoctorCommand } from "./doctor/main.ts";
