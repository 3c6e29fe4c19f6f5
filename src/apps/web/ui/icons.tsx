import type { ReactNode } from "react";

/** Drawn on 16 by 16, one stroke; each says nothing to a screen reader, the words beside it do. */
const PATHS = {
  bridge: "M2 5.5h12M2 10.5h12M4.5 3v2.5M8 3v2.5M11.5 3v2.5M4.5 10.5V13M8 10.5V13M11.5 10.5V13",
  router: "M8 2v12M2 8h12M8 2 6.2 4M8 2l1.8 2M8 14l-1.8-2M8 14l1.8-2M2 8l2-1.8M2 8l2 1.8M14 8l-2-1.8M14 8l-2 1.8",
  port: "M3 4h10v8H3zM5.5 12v-3M8 12v-3M10.5 12v-3",
  host: "M2.5 3h11v4h-11zM2.5 9h11v4h-11zM5 5h.01M5 11h.01",
  enter: "M2 8h8M7 5l3 3-3 3M13 3v10",
  exit: "M3 3v10M6 8h8M11 5l3 3-3 3",
  lock: "M4 7.5h8V14H4zM5.5 7.5V5a2.5 2.5 0 0 1 5 0v2.5",
  check: "M3 8.5 6.5 12 13 4.5",
  cross: "M4 4l8 8M12 4l-8 8",
  alert: "M8 2.5 14.5 13.5h-13zM8 6.5v3.5M8 12h.01",
  question: "M5.8 6A2.3 2.3 0 1 1 9 8.1c-.7.4-1 .8-1 1.6M8 12.3h.01",
  dot: "M8 8h.01",
  plus: "M8 3v10M3 8h10",
  trash: "M3 4.5h10M6.5 4.5V3h3v1.5M4.5 4.5l.6 9h5.8l.6-9",
  copy: "M5.5 5.5h8v8h-8zM3 10.5H2.5v-8h8V3",
  download: "M8 2v8M5 7.5 8 10.5l3-3M2.5 13.5h11",
  link: "M6.5 9.5l3-3M7 4.5l1.5-1.5a2.8 2.8 0 0 1 4 4L11 8.500M9 11.5 7.5 13a2.8 2.8 0 0 1-4-4L5 7.5",
  swap: "M2.5 5.500h10M9.5 2.500l3 3-3 3M13.5 10.500h-10M6.5 7.500l-3 3 3 3",
  pin: "M8 10v4M4.5 10h7L10 7.500V3H6v4.500zM5.2 3h5.6",
  sun: "M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6M8 1.500v1M8 13.500v1M1.5 8h1M13.5 8h1M3.4 3.400l.7.7M11.9 11.900l.7.7M3.4 12.600l.7-.7M11.9 4.100l.7-.7",
  moon: "M13 9.500A5.5 5.5 0 0 1 6.5 3a5.5 5.5 0 1 0 6.5 6.5",
  search: "M7 2.500a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9M10.3 10.3 14 14",
  left: "M10 3 5 8l5 5",
  up: "M3 10l5-5 5 5",
  down: "M3 6l5 5 5-5",
  code: "M5.5 4 2 8l3.5 4M10.5 4 14 8l-3.5 4",
  fit: "M2.5 6V2.500H6M10 2.500h3.500V6M13.5 10v3.500H10M6 13.500H2.500V10",
  minus: "M3 8h10",
  out: "M6 3H3v10h7M10 2.500h3.500V6M13.5 2.5 7.5 8.5",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { readonly name: IconName }): ReactNode {
  return (
    <svg className="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
