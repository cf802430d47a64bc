import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

/** Where `npm run dev` finds a platform (or the stub of the browser tests). */
const platform = "http://127.0.0.1:8500";

// The names are fixed, since the platform compiles the files in; an ETag tells versions apart.
export default defineConfig({
  base: "/ui/",
  plugins: [svelte()],
  build: {
    target: "es2023",
    cssTarget: ["chrome123", "firefox121", "safari17.5"],
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    rollupOptions: {
      output: {
        codeSplitting: false,
        entryFileNames: "app.js",
        assetFileNames: "app[extname]",
      },
    },
  },
  server: { proxy: { "/api": platform } },
});
