/** `/metrics` in Prometheus' text format 0.0.4, by prom-client. */
export { PROCESS_METRICS, prometheusPage } from "./page.ts";
