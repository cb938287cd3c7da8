// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC4626, IERC20} from "@openzeppelin/contracts/token/ERC20/extensions/ERC4626.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

/// A vault that earns what it is given: yield is a transfer to it, a loss is `lose`.
contract Vault is ERC4626 {
    uint8 private immutable offset;

    constructor(IERC20 asset_, string memory name_, string memory symbol_, uint8 offset_)
        ERC20(name_, symbol_)
        ERC4626(asset_)
    {
        offset = offset_;
    }

    function _decimalsOffset() internal view override returns (uint8) {
        return offset;
    }

    /// Anyone may make the vault lose: it exists on test chains only.
    function lose(uint256 assets) external {
        SafeERC20.safeTransfer(IERC20(asset()), address(0xdead), assets);
    }
}
