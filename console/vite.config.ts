import react from '@vitejs/plugin-react';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  plugins: [react()],
  resolve: {
    alias: { 'fairlead/client': fileURLToPath(new URL('../src/client/index.ts', import.meta.url)) },
  },
  build: {
    target: 'es2022',
    // Every file is one of this server: its policy lets no data: address and no inline script run.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    emptyOutDir: true,
    rollupOptions: { input: ['index.html', 'docs.html'].map((name) => fileURLToPath(new URL(name, import.meta.url))) },
  },
});
