import react from "@vitejs/plugin-react";
import { defaultClientConditions, defineConfig } from "vite";

export default defineConfig({
  root: import.meta.dirname,
  publicDir: "public",
  plugins: [react()],
  // Sources import the core as everybody else does: `#core/…`, by package.json's `imports`.
  resolve: { conditions: ["source", ...defaultClientConditions] },
  build: {
    outDir: "../../../dist-web",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    // What is bundled asks for its licence to come along.
    license: { fileName: "licenses.md" },
    assetsInlineLimit: 0,
    rolldownOptions: {
      treeshake: { moduleSideEffects: (id) => !/\/src\/(core|apps\/web\/model)\//.test(id) },
    },
  },
});
