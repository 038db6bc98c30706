import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './parts/App.js';
import { applyTheme } from './live/theme.js';
import './styles.css';
import './styles/code.css';
import './styles/files.css';

applyTheme();
createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
