"""What every figure needs: which rows count, panels, style, captions, files."""
