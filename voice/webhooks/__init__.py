"""HTTP to addresses that customers choose: dynamic callflows, media; and what keeps that safe."""
