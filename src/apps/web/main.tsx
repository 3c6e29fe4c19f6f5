import { createRoot } from "react-dom/client";
import { applyTheme } from "./ui/theme.ts";
import { App } from "./views/app.tsx";

applyTheme();
createRoot(document.getElementById("root") as HTMLElement).render(<App />);
