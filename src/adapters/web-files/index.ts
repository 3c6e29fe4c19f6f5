export { openWebFiles, WEB_FILES, type WebFile, WebFiles } from "./web-files.ts";
