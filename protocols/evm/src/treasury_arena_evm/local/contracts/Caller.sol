// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

interface Token {
    function transferFrom(address from, address to, uint256 amount) external returns (bool);
}

interface Pool {
    function token0() external view returns (address);
    function token1() external view returns (address);
    function mint(address recipient, int24 lower, int24 upper, uint128 amount, bytes calldata data)
        external
        returns (uint256, uint256);
    function swap(address recipient, bool zeroForOne, int256 amount, uint160 limit, bytes calldata data)
        external
        returns (int256, int256);
}

/// Calls a Uniswap v3 pool without a router between, and pays out of the caller's own tokens (which must be approved to this).
contract Caller {
    function mint(Pool pool, int24 lower, int24 upper, uint128 amount) external returns (uint256, uint256) {
        return pool.mint(msg.sender, lower, upper, amount, abi.encode(msg.sender));
    }

    function swap(Pool pool, bool zeroForOne, int256 amount, uint160 limit) external returns (int256, int256) {
        return pool.swap(msg.sender, zeroForOne, amount, limit, abi.encode(msg.sender));
    }

    function uniswapV3MintCallback(uint256 owed0, uint256 owed1, bytes calldata data) external {
        pay(owed0, owed1, data);
    }

    function uniswapV3SwapCallback(int256 delta0, int256 delta1, bytes calldata data) external {
        pay(delta0 > 0 ? uint256(delta0) : 0, delta1 > 0 ? uint256(delta1) : 0, data);
    }

    function pay(uint256 owed0, uint256 owed1, bytes calldata data) private {
        address payer = abi.decode(data, (address));
        if (owed0 > 0) require(Token(Pool(msg.sender).token0()).transferFrom(payer, msg.sender, owed0));
        if (owed1 > 0) require(Token(Pool(msg.sender).token1()).transferFrom(payer, msg.sender, owed1));
    }
}
