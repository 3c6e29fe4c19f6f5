export { TokenBuckets } from "#core/base";
