// Segments: a few choices of which one is in force.

interface SegmentsProps<Choice extends string> {
  readonly label: string
  readonly choices: readonly (readonly [choice: Choice, text: string])[]
  readonly chosen: Choice
  readonly onChoose: (choice: Choice) => void
}

export function Segments<Choice extends string>({ label, choices, chosen, onChoose }: SegmentsProps<Choice>) {
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset would need a legend of its own.
    <div className="seg" role="group" aria-label={label}>
      {choices.map(([choice, text]) => (
        <button key={choice} type="button" aria-pressed={choice === chosen} onClick={() => onChoose(choice)}>
          {text}
        </button>
      ))}
    </div>
  )
}
