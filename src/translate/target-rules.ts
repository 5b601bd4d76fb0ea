// Target rules: what a dialect's providers accept in the values of a request. Each dialect has one table of these
// (translate/<vendor>/target-rules.ts); translate/adaptation.ts puts a request of another dialect into the form that the table asks for.

import type { Effort } from '../core/chat.ts'
import type { PropertyNameRules } from './property-names.ts'

/** How large a schema can be. */
export interface SchemaSize {
  /** Of objects and arrays in each other. */
  readonly maxLevels: number
  readonly maxProperties: number
  readonly maxEnumValues: number
  /** Of all names of properties and all values of `enum` and `const`. */
  readonly maxCharacters: number
}

/** Which JSON schemas are accepted in one place of a request. What is not accepted is told in the description instead. */
export interface SchemaRules {
  /** The accepted keywords; absent: all keywords. */
  readonly keywords?: ReadonlySet<string>
  /** The accepted values of `format`; absent: all of them. */
  readonly formats?: ReadonlySet<string>
  /** Matches a `pattern` that is not accepted. */
  readonly refusedPattern?: RegExp
  /** A larger schema does not fit. */
  readonly size?: SchemaSize
  /** The largest accepted `minItems`. Absent: there is no largest. */
  readonly maxMinItems?: number
  /** The schema at the root. `plainObject`: of type object, without a combination of schemas. `any`: every schema. */
  readonly root: 'plainObject' | 'any'
  /** True: every object says `additionalProperties: false`. */
  readonly closesObjects?: boolean
  /** True: every property is required. A schema with an optional one does not fit. */
  readonly requiresAllProperties?: boolean
  /** True: `required` may name declared properties only. */
  readonly requiresDeclaredProperties?: boolean
  /** True: the root has `properties`, even if there are none. */
  readonly listsProperties?: boolean
  /** True: every schema has a type, or a combination of schemas that have. */
  readonly needsType?: boolean
  /** True: every array has `items`. */
  readonly needsItems?: boolean
  /** True: a schema that refers to itself does not fit. */
  readonly refusesRecursion?: boolean
}

/** Which names of tools are accepted. */
export interface ToolNameRules {
  readonly maxCharacters: number
  /** Matches each character that is not accepted. Global. */
  readonly illegalCharacter: RegExp
  /** Matches a name with an accepted first character; absent: every accepted character can be the first. */
  readonly legalStart?: RegExp
}

/** Which media types are accepted. A type that ends with a slash stands for all that begin with it. */
export interface MediaRules {
  readonly accepted: readonly string[]
  /** What some models accept beside it. */
  readonly acceptedBy?: (model: string) => readonly string[]
  /** Says what is accepted: completes `The target model accepts …`. */
  readonly summary: string
  /** Matches the URLs that are accepted. */
  readonly urls: RegExp
}

/** What the models of one dialect accept. */
export interface TargetRules {
  readonly toolName: ToolNameRules
  /** The names of a tool's parameters. Absent: every name is accepted. */
  readonly propertyName?: PropertyNameRules
  /** The parameters of a tool. */
  readonly toolSchema: SchemaRules
  /** The parameters of a strict tool; absent: there is no such mode. */
  readonly strictToolSchema?: SchemaRules
  /** The format of the answer. */
  readonly outputSchema: SchemaRules
  /** The format of the answer, if it is strict; absent: as `outputSchema`. */
  readonly strictOutputSchema?: SchemaRules
  /** Whether the model keeps to a schema only if the format is strict, and has that mode. Absent: no such mode is needed. */
  readonly hasStrictFormat?: (model: string) => boolean
  /** The maximum of strict tools in a request. */
  readonly maxStrictTools?: number
  readonly media: MediaRules
  /** Which texts say nothing and are refused: empty ones, also those of white space alone, or none. */
  readonly refusedTexts: 'none' | 'empty' | 'blank'
  /** True: an answer that the model should continue cannot end with white space. */
  readonly refusesTrailingSpace?: boolean
  /** True: a system message alone is no conversation. */
  readonly needsUserMessage?: boolean
  /** True: the arguments of a tool call are an object, not text. */
  readonly parsesArguments: boolean
  /** The maximum of cache hints in a request; absent: there is no maximum, or none has an effect. */
  readonly maxCacheHints?: number
  /** The levels of effort that a model accepts, the lowest first; undefined if the model takes no levels or is not known. */
  effortsOf(model: string): readonly Effort[] | undefined
}
