// Clients: every agent, SDK and framework of the table, with its packages, its configuration and its command. Each makes one call.

import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Packages } from './packages.ts'

/** One run of a client. */
export interface Run {
  /** The gateway's origin. */
  readonly origin: string
  /** Where the client's packages are. */
  readonly packages: string
  /** The client's HOME and working directory, empty. */
  readonly home: string
  readonly model: string
}

export interface Command {
  readonly file: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

export interface Client {
  readonly name: string
  readonly packages: Packages
  /** A model with a price; another one has none. */
  readonly model: string
  /** Writes what the client reads in its home, and returns its command. */
  command(run: Run): Command
}

const PROMPT = 'Say hi'
const KEY = 'any-key-at-all'
const UNKNOWN_NAME = 'model-that-nobody-knows'

/** A name without a price, at the provider of `model`. */
export function unknownModel(model: string): string {
  return model.replace(/^(gpt|claude|gemini).*/, `$1-${UNKNOWN_NAME}`)
}

function write(home: string, path: string, content: string | object): void {
  mkdirSync(join(home, path, '..'), { recursive: true })
  writeFileSync(join(home, path), typeof content === 'string' ? content : JSON.stringify(content))
}

const bin = (run: Run, name: string) => join(run.packages, 'node_modules/.bin', name)
const venvBin = (run: Run, name: string) => join(run.packages, 'venv/bin', name)

const AGENTS: readonly Client[] = [
  {
    name: 'Claude Code 2.1.332',
    packages: { registry: 'npm', names: ['@anthropic-ai/claude-code@2.1.332'] },
    model: 'claude-opus-5-5',
    command: (run) => ({
      file: bin(run, 'claude'),
      args: ['-p', PROMPT],
      env: { ANTHROPIC_BASE_URL: run.origin, ANTHROPIC_AUTH_TOKEN: KEY, ANTHROPIC_MODEL: run.model },
    }),
  },
  {
    name: 'Codex 0.171.0',
    packages: { registry: 'npm', names: ['@openai/codex@0.171.0'] },
    model: 'gpt-5.5',
    command(run) {
      const provider = `name = "Bursar"\nbase_url = "${run.origin}/v1"\nenv_key = "BURSAR_KEY"\nwire_api = "responses"\n`
      const config = `model = "${run.model}"\nmodel_provider = "bursar"\n\n[model_providers.bursar]\n${provider}`
      write(run.home, '.codex/config.toml', config)
      return { file: bin(run, 'codex'), args: ['exec', '--skip-git-repo-check', PROMPT], env: { BURSAR_KEY: KEY } }
    },
  },
  {
    name: 'Gemini CLI 0.61.0',
    packages: { registry: 'npm', names: ['@google/gemini-cli@0.61.0'] },
    model: 'gemini-3.5-flash-lite',
    command(run) {
      write(run.home, '.gemini/settings.json', { security: { auth: { selectedType: 'gemini-api-key' } } })
      const env = { GEMINI_API_KEY: KEY, GOOGLE_GEMINI_BASE_URL: run.origin, GEMINI_CLI_TRUST_WORKSPACE: 'true' }
      return { file: bin(run, 'gemini'), args: ['-m', run.model, '-p', PROMPT], env }
    },
  },
  {
    name: 'opencode 1.18.33',
    packages: { registry: 'npm', names: ['opencode-ai@1.18.33'] },
    model: 'gpt-4o',
    command(run) {
      const options = { baseURL: `${run.origin}/v1`, apiKey: KEY }
      const bursar = { npm: '@ai-sdk/openai-compatible', options, models: { [run.model]: { name: run.model } } }
      write(run.home, 'opencode.json', { provider: { bursar }, autoupdate: false, share: 'disabled' })
      return { file: bin(run, 'opencode'), args: ['run', '-m', `bursar/${run.model}`, PROMPT], env: {} }
    },
  },
  {
    name: 'aider 0.86.2',
    packages: { registry: 'pypi', names: ['aider-chat==0.86.2'] },
    model: 'gpt-4o',
    command: (run) => ({
      file: venvBin(run, 'aider'),
      args: [
        ...['--message', PROMPT, '--model', `openai/${run.model}`, '--no-git', '--yes-always', '--no-check-update'],
        ...['--analytics-disable', '--no-show-model-warnings', '--no-pretty', '--no-stream'],
      ],
      env: { OPENAI_API_BASE: `${run.origin}/v1`, OPENAI_API_KEY: KEY },
    }),
  },
  {
    name: 'llm 0.36',
    packages: { registry: 'pypi', names: ['llm==0.36'] },
    model: 'gpt-4o',
    command(run) {
      const row = `- model_id: bursar\n  model_name: ${run.model}\n  api_base: ${run.origin}/v1\n`
      write(run.home, 'llm/extra-openai-models.yaml', row)
      const env = { LLM_USER_PATH: join(run.home, 'llm'), OPENAI_API_KEY: KEY }
      return { file: venvBin(run, 'llm'), args: ['-m', 'bursar', PROMPT], env }
    },
  },
]

const ASK_IN_NODE = join(import.meta.dirname, 'ask.mjs')
const ASK_IN_PYTHON = join(import.meta.dirname, 'ask.py')

/** @param script the client's name in ask.mjs */
function inNode(name: string, script: string, model: string, names: readonly string[]): Client {
  return {
    name,
    packages: { registry: 'npm', names },
    model,
    command(run) {
      const copy = join(run.packages, 'ask.mjs')
      copyFileSync(ASK_IN_NODE, copy)
      return { file: process.execPath, args: [copy, script, run.origin, run.model], env: {} }
    },
  }
}

/** @param script the client's name in ask.py */
function inPython(name: string, script: string, model: string, names: readonly string[]): Client {
  return {
    name,
    packages: { registry: 'pypi', names },
    model,
    command: (run) => ({
      file: venvBin(run, 'python'),
      args: ['-W', 'ignore', ASK_IN_PYTHON, script, run.origin, run.model],
      env: { OPENAI_API_KEY: KEY },
    }),
  }
}

const GPT = 'gpt-4o'
const CLAUDE = 'claude-sonnet-5-5'
const GEMINI = 'gemini-3.5-flash-lite'

const SDKS: readonly Client[] = [
  inNode('openai (JS) 7.59.0', 'openai', GPT, ['openai@7.59.0']),
  inPython('openai (Python) 3.57.0', 'openai', GPT, ['openai==3.57.0']),
  inNode('@anthropic-ai/sdk 1.14.0', 'anthropic', CLAUDE, ['@anthropic-ai/sdk@1.14.0']),
  inPython('anthropic (Python) 2.14.0', 'anthropic', CLAUDE, ['anthropic==2.14.0']),
  inNode('@google/genai 3.3.0', 'genai', GEMINI, ['@google/genai@3.3.0']),
  inPython('google-genai (Python) 3.6.1', 'genai', GEMINI, ['google-genai==3.6.1']),
]

const FRAMEWORKS: readonly Client[] = [
  inNode('@langchain/openai 1.6.0', 'langchain', GPT, ['@langchain/openai@1.6.0', '@langchain/core']),
  inPython('langchain-openai 1.7.4', 'langchain', GPT, ['langchain-openai==1.7.4']),
  inNode('ai 7.0.173', 'ai', GPT, ['ai@7.0.173', '@ai-sdk/openai@4.0.118', 'zod']),
  inNode('@openai/agents 0.20.0', 'agents', GPT, ['@openai/agents@0.20.0', 'openai@7.59.0', 'zod']),
  inPython('openai-agents 0.24.0', 'agents', GPT, ['openai-agents==0.24.0']),
  inNode('@mastra/core 1.71.0', 'mastra', GPT, ['@mastra/core@1.71.0', '@ai-sdk/openai@4.0.118', 'zod']),
  inPython('pydantic-ai 2.66.0', 'pydantic', GPT, ['pydantic-ai-slim[openai]==2.66.0']),
  inPython('instructor 1.17.0', 'instructor', GPT, ['instructor==1.17.0']),
  inPython('litellm 1.110.2', 'litellm', GPT, ['litellm==1.110.2']),
  inPython('llama-index-llms-openai-like 0.8.1', 'llamaindex', GPT, [
    'llama-index-llms-openai-like==0.8.1',
    'llama-index-llms-openai==0.8.3',
  ]),
  inNode('@llamaindex/openai 0.4.22', 'llamaindex', GPT, ['llamaindex', '@llamaindex/openai@0.4.22']),
]

export const CLIENTS: readonly Client[] = [...AGENTS, ...SDKS, ...FRAMEWORKS]
