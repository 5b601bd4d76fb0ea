// Regional prices: which addresses bill the price of a region, whatever name the prices have.

import { expect, test } from 'vitest'
import { compatible } from '../../src/providers/compatible/compatible.ts'
import { presetRow } from '../../src/providers/compatible/presets.ts'
import { priceNameAt } from '../../src/providers/regional-prices.ts'

test.each([
  'https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/us-central1/endpoints/openapi',
  'https://europe-west4-aiplatform.googleapis.com/v1beta1/projects/p/locations/europe-west4/endpoints/openapi/',
  'https://aiplatform.eu.rep.googleapis.com/v1/projects/p/locations/eu/endpoints/openapi',
  'https://us-east5-aiplatform.mtls.googleapis.com/v1',
  'https://aiplatform-private.p.googleapis.com/v1/projects/p/locations/us-east5/endpoints/openapi',
  'https://aiplatform.googleapis.com/v1/projects/p/locations/us-east5/endpoints/openapi',
  'https://US-EAST5-aiplatform.googleapis.com./v1',
  'https://eu.api.openai.com/v1',
])('%s has the price of a region', (address) => {
  for (const name of ['openai', 'gemini', 'google', 'vertex', 'anthropic', 'mine'])
    expect(priceNameAt(name, address)).toBe(`${name}+regional`)
})

test.each([
  'https://aiplatform.googleapis.com/v1/projects/p/locations/global/endpoints/openapi',
  'https://global-aiplatform.googleapis.com/v1',
  'https://generativelanguage.googleapis.com',
  'https://generativelanguage.googleapis.com/v1beta/openai',
  'https://api.openai.com/v1',
  'https://eu.api.openai.com.example.org/v1',
  'https://proxy.example.org/v1/projects/p/locations/us-east5/endpoints/openapi',
  'not an address',
])('%s has not', (address) => {
  expect(priceNameAt('google', address)).toBe('google')
})

test.each([
  ['google', 'here', 'google+regional'],
  ['vertex', 'here', 'vertex+regional'],
  ['', 'vertex', 'vertex+regional'],
  ['free', 'here', 'here'],
])('a row of bursar.json with the prices "%s" and the name %s has those of %s', (prices, name, priceName) => {
  const { apiKey: _, ...row } = presetRow('vllm')
  const baseUrl = 'https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/us-central1/endpoints/openapi'
  const settings = { ...row, name, prices, baseUrl, apiKey: '', missingVariable: undefined, callerKeys: false }
  expect(compatible(settings).priceName).toBe(priceName)
})
