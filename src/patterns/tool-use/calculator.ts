// Tool use's calculator: a small Pratt parser over doubles. Evaluates nothing but arithmetic.

const MAX_DEPTH = 64
const MAX_ARGUMENTS = 100

/** How tightly an operator binds. `^` goes right to left, and binds tighter than a minus before it: -2^2 is -4. */
const BINDING_POWER: Readonly<Record<string, number>> = { '+': 1, '-': 1, '*': 2, '/': 2, '%': 2, '^': 4 }
const SIGN_BINDING_POWER = 3

const CONSTANTS = new Map([
  ['pi', Math.PI],
  ['e', Math.E],
  ['tau', 2 * Math.PI],
])

type MathFunction = (...values: number[]) => number
/** By name; how many values each takes, at least and at most. */
const FUNCTIONS = new Map<string, readonly [least: number, most: number, of: MathFunction]>([
  ...(['abs', 'ceil', 'cos', 'exp', 'floor', 'log10', 'log2', 'sign', 'sin', 'sqrt', 'tan', 'trunc'] as const).map(
    (name): [string, readonly [number, number, MathFunction]] => [name, [1, 1, Math[name] as MathFunction]],
  ),
  ['ln', [1, 1, Math.log]],
  ['round', [1, 1, Math.round]],
  ['pow', [2, 2, Math.pow]],
  ['min', [1, MAX_ARGUMENTS, Math.min]],
  ['max', [1, MAX_ARGUMENTS, Math.max]],
])

const TOKEN = /\s*(?:((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|([A-Za-z][A-Za-z0-9]*)|([-+*/%^(),]))/y

/** The value of an expression. Throws an Error that says what is wrong with it. */
export function calculate(expression: string): number {
  const value = new ExpressionParser(tokensOf(expression)).parse()
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

class ExpressionParser {
  readonly #tokens: readonly string[]
  #position = 0
  #depth = 0

  constructor(tokens: readonly string[]) {
    this.#tokens = tokens
  }

  parse(): number {
    const value = this.#parseExpression(0)
    if (this.#position < this.#tokens.length) throw new Error(`did not expect "${this.#tokens[this.#position]}"`)
    return value
  }

  /** As far as operators bind tighter than this. */
  #parseExpression(binding: number): number {
    if (++this.#depth > MAX_DEPTH) throw new Error('the expression is nested too deeply')
    let left = this.#parseOperand()
    for (;;) {
      const operator = this.#tokens[this.#position] ?? ''
      const own = BINDING_POWER[operator] ?? 0
      if (own <= binding) break
      this.#position++
      left = applyOperator(operator, left, this.#parseExpression(operator === '^' ? own - 1 : own))
    }
    this.#depth--
    return left
  }

  #parseOperand(): number {
    const token = this.#tokens[this.#position++]
    if (token === undefined) throw new Error('the expression ends too early')
    if (token === '-') return -this.#parseExpression(SIGN_BINDING_POWER)
    if (token === '+') return this.#parseExpression(SIGN_BINDING_POWER)
    if (token === '(') return this.#parseList(1)[0] ?? Number.NaN
    if (/^[\d.]/.test(token)) return Number(token)
    return this.#parseName(token)
  }

  #parseName(token: string): number {
    const name = token.toLowerCase()
    if (this.#tokens[this.#position] !== '(') {
      const constant = CONSTANTS.get(name)
      if (constant === undefined) throw new Error(`did not expect "${token}"`)
      return constant
    }
    const [least, most, of] = FUNCTIONS.get(name) ?? []
    if (least === undefined || most === undefined || of === undefined) throw new Error(`there is no function ${token}`)
    this.#position++
    const values = this.#parseList(most)
    if (values.length < least) throw new Error(`${token} takes ${least} values`)
    return of(...values)
  }

  /** Values up to the closing parenthesis. */
  #parseList(most: number): number[] {
    const values = [this.#parseExpression(0)]
    for (;;) {
      const token = this.#tokens[this.#position++]
      if (token === ')') return values
      if (token !== ',') throw new Error('a parenthesis is not closed')
      if (values.length >= most) throw new Error(`more values than ${most}`)
      values.push(this.#parseExpression(0))
    }
  }
}

function applyOperator(operator: string, left: number, right: number): number {
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
