// Table head: the names of columns. A class says how a column is set, and at which widths it stays.

export function TableHead({ columns }: { readonly columns: readonly (readonly [name: string, className?: string])[] }) {
  return (
    <thead>
      <tr>
        {columns.map(([name, className]) => (
          <th key={name} scope="col" className={className}>
            {name}
          </th>
        ))}
      </tr>
    </thead>
  )
}
