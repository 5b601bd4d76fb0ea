// Providers: what holds for all models of a provider that have no figure of their own. Figures are the providers' published ones.

import type { FileProvider } from '../../src/prices/price-file.ts'

/** Dollars per thousand uses of the tools that OpenAI runs: calls of file search, and containers for twenty minutes each. */
const OPENAI_TOOLS = {
  file_search: 2.5,
  container_1g: 30,
  container_4g: 120,
  container_16g: 480,
  container_64g: 1_920,
  // A container without a stated size is the smallest.
  code_interpreter: 30,
  shell: 30,
}

/**
 * A model that does not name its priority price takes the highest published percentage. `fast` is the name that `priority` has
 * had since 2026-07-30.
 */
const OPENAI_TIERS = { priority: 250, fast: 250, ultrafast: 600, batch: 50 }

const OPENAI: Omit<FileProvider, 'models'> = { rates: { webSearches: 10 }, tools: OPENAI_TOOLS, tiers: OPENAI_TIERS }

export const PROVIDERS: Readonly<Record<string, Omit<FileProvider, 'models'>>> = {
  openai: OPENAI,
  azure: OPENAI,
  // The highest published percentage of fast answers, and that of answers that are made in the United States.
  anthropic: { rates: { webSearches: 10 }, tiers: { fast: 600, batch: 50 }, uplifts: { us: 110 } },
  // Gemini 2 and older bill a prompt that searches, and every tier of Gemini has one percentage.
  google: { rates: { webSearches: 35 }, tiers: { priority: 180, flex: 50, batch: 50 } },
  'x-ai': { rates: { webSearches: 5, sources: 25 }, tiers: { priority: 200 } },
  // Public holidays of China, on which the peak price does not hold: the State Council's notice of November 2025.
  deepseek: {
    holidays: [
      ...['2026-01-01', '2026-01-02', '2026-01-03'],
      ...[
        '2026-02-15',
        '2026-02-16',
        '2026-02-17',
        '2026-02-18',
        '2026-02-19',
        '2026-02-20',
        '2026-02-21',
        '2026-02-22',
      ],
      ...['2026-02-23', '2026-04-04', '2026-04-05', '2026-04-06'],
      ...[
        '2026-05-01',
        '2026-05-02',
        '2026-05-03',
        '2026-05-04',
        '2026-05-05',
        '2026-06-19',
        '2026-06-20',
        '2026-06-21',
      ],
      ...['2026-09-25', '2026-09-26', '2026-09-27'],
      ...['2026-10-01', '2026-10-02', '2026-10-03', '2026-10-04', '2026-10-05', '2026-10-06', '2026-10-07'],
    ],
  },
}
