// Tool use's calculator: a small Pratt parser over doubles. Evaluates nothing but arithmetic.

const MOST_DEPTH = 64
const MOST_ARGUMENTS = 100

/** How tightly an operator binds. `^` goes right to left, and binds tighter than a minus before it: -2^2 is -4. */
const BINDING: Readonly<Record<string, number>> = { '+': 1, '-': 1, '*': 2, '/': 2, '%': 2, '^': 4 }
const SIGN_BINDING = 3

const CONSTANTS = new Map([
  ['pi', Math.PI],
  ['e', Math.E],
  ['tau', 2 * Math.PI],
])

type Of = (...values: number[]) => number
/** By name; how many values each takes, at least and at most. */
const FUNCTIONS = new Map<string, readonly [least: number, most: number, of: Of]>([
  ...(['abs', 'ceil', 'cos', 'exp', 'floor', 'log10', 'log2', 'sign', 'sin', 'sqrt', 'tan', 'trunc'] as const).map(
    (name): [string, readonly [number, number, Of]] => [name, [1, 1, Math[name] as Of]],
  ),
  ['ln', [1, 1, Math.log]],
  ['round', [1, 1, Math.round]],
  ['pow', [2, 2, Math.pow]],
  ['min', [1, MOST_ARGUMENTS, Math.min]],
  ['max', [1, MOST_ARGUMENTS, Math.max]],
])

const TOKEN = /\s*(?:((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|([A-Za-z][A-Za-z0-9]*)|([-+*/%^(),]))/y

/** The value of an expression. Throws an Error that says what is wrong with it. */
export function calculate(expression: string): number {
  const value = new Reader(tokensOf(expression)).whole()
  if (Number.isNaN(value)) throw new Error('the result is not a real number')
  if (!Number.isFinite(value)) throw new Error('the result is infinite or too large')
  return value
}

function tokensOf(expression: string): string[] {
  const tokens: string[] = []
  const text = expression.trimEnd()
  TOKEN.lastIndex = 0
  while (TOKEN.lastIndex < text.length) {
    const at = TOKEN.lastIndex
    const token = TOKEN.exec(text)?.[0].trim()
    if (token === undefined) throw new Error(`cannot read "${text.slice(at, at + 20).trim()}"`)
    tokens.push(token)
  }
  return tokens
}

class Reader {
  readonly #tokens: readonly string[]
  #at = 0
  #depth = 0

  constructor(tokens: readonly string[]) {
    this.#tokens = tokens
  }

  whole(): number {
    const value = this.#value(0)
    if (this.#at < this.#tokens.length) throw new Error(`did not expect "${this.#tokens[this.#at]}"`)
    return value
  }

  /** As far as operators bind tighter than this. */
  #value(binding: number): number {
    if (++this.#depth > MOST_DEPTH) throw new Error('the expression is nested too deeply')
    let left = this.#first()
    for (;;) {
      const operator = this.#tokens[this.#at] ?? ''
      const own = BINDING[operator] ?? 0
      if (own <= binding) break
      this.#at++
      left = applied(operator, left, this.#value(operator === '^' ? own - 1 : own))
    }
    this.#depth--
    return left
  }

  #first(): number {
    const token = this.#tokens[this.#at++]
    if (token === undefined) throw new Error('the expression ends too early')
    if (token === '-') return -this.#value(SIGN_BINDING)
    if (token === '+') return this.#value(SIGN_BINDING)
    if (token === '(') return this.#list(1)[0] ?? Number.NaN
    if (/^[\d.]/.test(token)) return Number(token)
    return this.#named(token)
  }

  #named(token: string): number {
    const name = token.toLowerCase()
    if (this.#tokens[this.#at] !== '(') {
      const constant = CONSTANTS.get(name)
      if (constant === undefined) throw new Error(`did not expect "${token}"`)
      return constant
    }
    const [least, most, of] = FUNCTIONS.get(name) ?? []
    if (least === undefined || most === undefined || of === undefined) throw new Error(`there is no function ${token}`)
    this.#at++
    const values = this.#list(most)
    if (values.length < least) throw new Error(`${token} takes ${least} values`)
    return of(...values)
  }

  /** Values up to the closing parenthesis. */
  #list(most: number): number[] {
    const values = [this.#value(0)]
    for (;;) {
      const token = this.#tokens[this.#at++]
      if (token === ')') return values
      if (token !== ',') throw new Error('a parenthesis is not closed')
      if (values.length >= most) throw new Error(`more values than ${most}`)
      values.push(this.#value(0))
    }
  }
}

function applied(operator: string, left: number, right: number): number {
  switch (operator) {
    case '+':
      return left + right
    case '-':
      return left - right
    case '*':
      return left * right
    case '/':
      if (right === 0) throw new Error('division by zero')
      return left / right
    case '%':
      if (right === 0) throw new Error('division by zero')
      return left % right
    default:
      return left ** right
  }
}
