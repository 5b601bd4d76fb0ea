import { createRoot } from 'react-dom/client'
import { App } from './app.tsx'
import { applyTheme, currentTheme } from './data/preferences.ts'
import './styles.css'

applyTheme(currentTheme())
const root = document.getElementById('root')
if (root) createRoot(root).render(<App />)
