/**
 * Steps and flows to systems outside: one folder for each kind of target, behind one courier that queues, tries again,
 * counts what is lost and says so.
 */
export { Courier, type CourierOptions, type ExportLog } from "./courier/courier.ts";
export { COURIER_LIMITS, type CourierLimits } from "./courier/limits.ts";
export { ALL_TAKEN, type ExportWire, type Outcome } from "./courier/wire.ts";
export { type ExporterParts, openExporter, openExporters } from "./open.ts";
export { parseTarget, type Target, TARGET_PARAMETERS, type TargetKind } from "./target.ts";
