export { JsonLinesLog, type JsonLinesLogOptions } from "./json-lines-log.ts";
export { type LogFormat, lossLine, segmentLines } from "./lines.ts";
export { type LogOutput, RotatedFile, type RotatedFileOptions, StreamOutput } from "./output.ts";
