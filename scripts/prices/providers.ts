// Providers: what holds for all models of a provider that have no figure of their own. Figures are the providers' published ones.

import type { FileProvider } from '../../src/prices/price-file.ts'

/**
 * A model that does not name its priority price takes the highest published percentage. `fast` is the name that `priority` has
 * had since 2026-07-30.
 */
const OPENAI_TIERS = { priority: 250, fast: 250, ultrafast: 600, batch: 50 }

export const PROVIDERS: Readonly<Record<string, Omit<FileProvider, 'models'>>> = {
  // A container for twenty minutes costs $0.03 for each of its gigabytes: $0.03, $0.12, $0.48 and $1.92.
  openai: { rates: { webSearches: 10, fileSearches: 2.5, containerGigabytes: 30 }, tiers: OPENAI_TIERS },
  // litellm's map: Azure bills $0.014 for a search and $0.033 for a container.
  azure: { fees: { webSearches: 14, fileSearches: 2.5, containerGigabytes: 33 }, tiers: OPENAI_TIERS },
  // A container for code costs $0.05 an hour, after hours that are free and that no answer shows.
  // The highest published percentage of fast answers, and that of answers that are made in the United States.
  anthropic: {
    rates: { webSearches: 10, containerSeconds: 0.05 },
    tiers: { fast: 600, batch: 50 },
    uplifts: { us: 110 },
  },
  // Gemini 2 and older bill a prompt that searches, and every tier of Gemini has one percentage.
  google: { rates: { webSearches: 35 }, tiers: { priority: 180, flex: 50, batch: 50 } },
  // xAI's price page: searches of the web and of X, runs of code, searches of collections, and of attached files.
  'x-ai': {
    rates: { webSearches: 5, sources: 25, codeRuns: 5, fileSearches: 2.5, documentSearches: 10 },
    tiers: { priority: 200 },
  },
  // Public holidays of China, on which the peak price does not hold: the State Council's notice of November 2025. Those of 2027 are
  // not published. Until they are listed here, they have the peak price, which is the dearer one.
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
