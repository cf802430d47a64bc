import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

// The portal serves these four names and no others, so they never carry a hash: it answers with an
// ETag instead.
export default defineConfig({
  base: "/",
  plugins: [svelte()],
  build: {
    target: "es2022",
    modulePreload: false,
    cssCodeSplit: false,
    assetsInlineLimit: 0,
    rollupOptions: {
      output: {
        entryFileNames: "app.js",
        assetFileNames: "app[extname]",
        codeSplitting: false,
      },
    },
  },
  // `npm run dev` beside a running `shop demo`.
  server: { proxy: { "/api": "http://127.0.0.1:8080" } },
});
