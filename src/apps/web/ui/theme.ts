import { useSyncExternalStore } from "react";

export type Theme = "light" | "dark";
const KEY = "midotrace-theme";
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set<() => void>();

const chosen = (): Theme | null => {
  const value = localStorage.getItem(KEY);
  return value === "light" || value === "dark" ? value : null;
};

/**
 * Asked of `dark` when it says that it changed, and never in between: in Chromium, who asks after a change and before it is
 * told takes the event away from the listener.
 */
let applied: Theme = "light";

/** The reader's choice, else the system's. */
export const currentTheme = (): Theme => applied;

export function applyTheme(): void {
  applied = chosen() ?? (dark.matches ? "dark" : "light");
  document.documentElement.dataset["theme"] = applied;
  for (const listener of listeners) listener();
}

export function toggleTheme(): void {
  localStorage.setItem(KEY, currentTheme() === "dark" ? "light" : "dark");
  applyTheme();
}

dark.addEventListener("change", applyTheme);

export function useTheme(): Theme {
  return useSyncExternalStore((listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, currentTheme);
}
