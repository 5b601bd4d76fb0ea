import { defineConfig } from 'vite'

export default defineConfig({
  root: import.meta.dirname,
  // Pages find their assets wherever the gateway is mounted.
  base: './',
  build: {
    // A data: address would need a wider policy for fonts and scripts.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: 'es2024',
    emptyOutDir: true,
  },
})
