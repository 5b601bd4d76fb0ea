// Calculator: a small Pratt parser over double-precision numbers. It evaluates arithmetic only, never code.

const MAX_DEPTH = 64
const MAX_ARGUMENTS = 100

/** How tightly each operator binds. `^` is right-associative and binds tighter than a minus sign: -2^2 is -4. */
const BINDING_POWER: Readonly<Record<string, number>> = { '+': 1, '-': 1, '*': 2, '/': 2, '%': 2, '^': 4 }
const SIGN_BINDING_POWER = 3

const CONSTANTS = new Map([
  ['pi', Math.PI],
  ['e', Math.E],
  ['tau', 2 * Math.PI],
])

type MathFunction = (...values: number[]) => number
/** The functions by name, each with the minimum and the maximum of its values. */
const FUNCTIONS = new Map<string, readonly [minValues: number, maxValues: number, compute: MathFunction]>([
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

/** The value of an expression. Throws an Error with a clause that says what is wrong with it. */
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
    const index = TOKEN.lastIndex
    const token = TOKEN.exec(text)?.[0].trim()
    if (token === undefined) throw new Error(`cannot read "${text.slice(index, index + 20).trim()}"`)
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

  /** Parses up to the first operator that binds at most this tightly. */
  #parseExpression(binding: number): number {
    if (++this.#depth > MAX_DEPTH) throw new Error('the expression is nested too deeply')
    let left = this.#parseOperand()
    for (;;) {
      const operator = this.#tokens[this.#position] ?? ''
      const power = BINDING_POWER[operator] ?? 0
      if (power <= binding) break
      this.#position++
      left = applyOperator(operator, left, this.#parseExpression(operator === '^' ? power - 1 : power))
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
    const [minValues, maxValues, compute] = FUNCTIONS.get(name) ?? []
    if (minValues === undefined || maxValues === undefined || compute === undefined)
      throw new Error(`the function ${token} is unknown`)
    this.#position++
    const values = this.#parseList(maxValues)
    if (values.length < minValues) throw new Error(`${token} takes at least ${minValues} values`)
    return compute(...values)
  }

  /** Parses values up to the closing parenthesis. */
  #parseList(maxValues: number): number[] {
    const values = [this.#parseExpression(0)]
    for (;;) {
      const token = this.#tokens[this.#position++]
      if (token === ')') return values
      if (token !== ',') throw new Error('a parenthesis is not closed')
      if (values.length >= maxValues) throw new Error(`expected at most ${maxValues} values in parentheses`)
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
